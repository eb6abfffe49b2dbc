"""What run.json of a general distillation says: all that decides its outcome, and where things came from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipelines.distilling.content import UNTELLING
from pipelines.general.request import default_accumulation
from pipelines.run_folder.stage_folder import refuse_other_run, run_content
from pipelines.training.step_parts import PARTS, parts_of, processes, with_parts

if TYPE_CHECKING:
    from pipelines.general.checks import CheckedGeneral
    from pipelines.general.request import GeneralRequest
    from pipelines.run_folder.storage import Storage

KIND = "distill-general"


def general_content(request: GeneralRequest, checked: CheckedGeneral) -> dict[str, Any]:
    """The content of run.json as it is before the corpus is packed.

    Args:
        request: what the user asked for.
        checked: its parts.
    """
    student, corpus = checked.student, request.corpus
    config = {name: value for name, value in student.config.to_dict().items() if name not in UNTELLING}
    settings = {
        "student": {
            "config": config,
            "start": request.start if student.found is None else None,  # else its fingerprint tells
            "layer_map": student.layer_map,
            "embeddings": request.embeddings,
        },
        "recipe": asdict(request.recipe),
        "losses": asdict(request.losses),
        "masked_lm": asdict(request.masked_lm),
        "corpus": {"column": corpus.column, "limit": corpus.limit, "rows": corpus.rows, "pairs": checked.shape.pairs},
        "cache": {"mode": request.cache.mode, "budget": request.cache.budget},
        "reading": asdict(request.reading),
        "precision": request.machine.precision,
    }
    models = {"teacher": checked.teacher.found.fingerprint}
    if student.found is not None:
        models["student"] = student.found.fingerprint
    sources = {
        "corpus": corpus.place,
        "teacher": request.teacher,
        "teacher_revision": checked.teacher.found.revision,
        "student": student.shape,
        "student_init": request.start,
    }
    inputs = {"corpus": checked.corpus.inputs()}
    content = run_content(KIND, settings, {"name": "general"}, inputs, models)
    return {**content, PARTS: parts_of(request), "sources": sources}


def with_general_parts(request: GeneralRequest, started: dict[str, Any] | None) -> GeneralRequest:
    """The request with the parts of a step that an earlier start had, else with as many as fit the memory.

    Args:
        request: what the user asked for.
        started: run.json of the earlier start; None for none.
    """
    usual = default_accumulation(request.recipe.batch_rows, request.machine.device, processes())
    return with_parts(request, started, usual)


def refuse_other_general(storage: Storage, started: dict[str, Any], asked: dict[str, Any], finished: bool) -> None:
    """Refuses to go on with other settings than the folder was begun with.

    Before the first step, when run.json has nothing `resolved`, those alone count that the corpus is packed by: a
    start that was refused then, for its cache as an example, goes on with what it was told to change.

    Args:
        storage: the folder.
        started: its run.json.
        asked: what run.json would say now.
        finished: whether nothing is left to do.

    Raises:
        UserError: naming the fields.
    """
    if "resolved" not in started:
        there, now = started["settings"], asked["settings"]
        reading = {**now["reading"], "max_length": there["reading"]["max_length"]}
        models = {**asked["models"], "teacher": started["models"]["teacher"]}
        kept = {name: started[name] for name in ("inputs", "versions")}
        settings = {**now, "corpus": there["corpus"], "reading": reading}
        started = {**asked, **kept, "models": models, "settings": settings}
    refuse_other_run(storage, started, asked, finished)
