"""What run.json of a distillation says: all that decides its outcome, and where things came from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from distill.stores import without_credentials
from pipelines.distilling.session import train_inputs
from pipelines.run_folder.stage_folder import run_content, task_content
from pipelines.training.step_parts import PARTS, parts_of

if TYPE_CHECKING:
    from pipelines.distilling.checks import CheckedDistill
    from pipelines.training.request import DistillRequest

INTERMEDIATE, PREDICTION = "intermediate", "prediction"
UNTELLING = ("transformers_version", "_name_or_path", "dtype", "architectures")  # of a configuration


def distill_content(request: DistillRequest, checked: CheckedDistill) -> dict[str, Any]:
    """The content of run.json as it is before the preflight.

    Args:
        request: what the user asked for.
        checked: its parts.
    """
    data, config = checked.data, checked.student.config.to_dict()
    settings = {
        "student": {
            "config": {name: value for name, value in config.items() if name not in UNTELLING},
            "start": request.start if checked.student.found is None else None,  # else its fingerprint tells
            "layer_map": checked.student.layer_map,
        },
        INTERMEDIATE: asdict(request.intermediate),
        PREDICTION: asdict(request.prediction),
        "losses": asdict(request.losses),
        "cache": {"mode": request.cache.mode, "budget": request.cache.budget},
        "reading": asdict(request.reading),
        "precision": request.machine.precision,
    }
    student = checked.student.found
    found = {"teacher": checked.teacher.found, **({"student": student} if student is not None else {})}
    models = {role: model.fingerprint for role, model in found.items()}
    inputs = {"train": train_inputs(checked), "dev": data.inputs(data.dev_parts)}
    sources = {
        "data": str(request.data.data) if request.data.data else None,
        "data_revision": data.revision,
        "train": without_credentials(request.train) if request.train else None,
        "teacher": request.teacher,
        **{f"{role}_revision": model.revision for role, model in found.items()},
        "student": checked.student.shape,
        "student_init": request.start,
    }
    content = run_content("distill", settings, task_content(data.task), inputs, models)
    return {**content, PARTS: parts_of(request), "sources": sources}
