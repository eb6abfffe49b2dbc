"""`tinyaug distill-general`: a student learns an encoder's layers from a text corpus (section 3.2 of the paper)."""

from __future__ import annotations

import csv
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pipelines.run_file import undone_if_refused
from pipelines.training.cache_room import claim_caches, warn_of_rebuild
from pipelines.training.distill_checks import check_disk
from pipelines.training.distill_content import UNTELLING
from pipelines.training.distill_job import cache_root
from pipelines.training.distill_session import open_targets
from pipelines.training.estimates import is_long
from pipelines.training.finetune_job import Trained
from pipelines.training.folder import (
    METRICS,
    RUN,
    drop_checkpoints,
    finished_metrics,
    publish,
    refuse_other_run,
    run_content,
    stage_storage,
    started_run,
)
from pipelines.training.general_card import general_card
from pipelines.training.general_checks import check_general
from pipelines.training.general_plan import plan_general
from pipelines.training.general_request import WARMUP_STEPS
from pipelines.training.general_session import load_models, make_stage, packed_stream
from pipelines.training.loop import train_settings, train_stage
from pipelines.training.packed import FOLDER, pack_corpus, packed_corpus
from pipelines.training.ranks import Ranks
from pipelines.training.saving import save_model
from pipelines.wording import duration

if TYPE_CHECKING:
    from distill.checkpoints import RunState
    from pipelines.storage import Storage
    from pipelines.training.general_checks import CheckedGeneral
    from pipelines.training.general_request import GeneralRequest
    from pipelines.training.reporting import TrainingReporter

KIND, STAGE = "distill-general", "general"


def run_general(request: GeneralRequest, reporter: TrainingReporter) -> Trained:
    """Distils over a corpus, going on where an earlier run of the same command stopped.

    Args:
        request: what the user asked for.
        reporter: is told of progress.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError: a mistake of the user's; nothing was trained.
        JobError: training failed; the last checkpoint is kept.
    """
    storage = stage_storage(request.out, "a model")
    started_run(storage, KIND, overwrite=False)
    checked = check_general(request)
    content = _content(request, checked)
    ranks = Ranks(request.machine.device == "cpu")
    with ranks.writing(storage):
        done = None if request.overwrite else finished_metrics(storage)
        ranks.wait()  # all have looked
        if ranks.main:
            started = started_run(storage, KIND, request.overwrite)
            if started is not None:
                refuse_other_run(storage, started, content, done is not None)
            warn_of_rebuild(request.cache, started, reporter)
        if done is not None:
            return Trained(storage, done, False)
        ranks.wait()
        return _General(request, checked, storage, ranks, reporter).run(content)


class _General:
    """One run, with its models loaded."""

    def __init__(
        self,
        request: GeneralRequest,
        checked: CheckedGeneral,
        storage: Storage,
        ranks: Ranks,
        reporter: TrainingReporter,
    ) -> None:
        self.request, self.checked, self.storage, self.ranks = request, checked, storage, ranks
        self.reporter = ranks.reporter(reporter)
        self.root, self.caches = storage.local_folder(), cache_root(request, storage)

    def run(self, content: dict[str, Any]) -> Trained:
        """Packs the corpus, then trains the one stage."""
        from distill.folder_lock import folder_lock

        if self.ranks.main:
            with undone_if_refused(self.storage, fresh=self.storage.read_json(RUN) is None):
                self._begin(content)
        while packed_corpus(self.storage) is None or "resolved" not in (self.storage.read_json(RUN) or {}):
            time.sleep(1)  # a barrier would not wait for as long as a large corpus takes
        self.ranks.wait()
        resolved = (self.storage.read_json(RUN) or {})["resolved"]
        self.reporter.message(f"layer map: the student's layers learn from teacher layers {_listed(resolved)}")
        self.reporter.message(resolved["cache"]["words"])
        with folder_lock(self.caches) if self.ranks.main else nullcontext():
            self.ranks.wait()
            self._train(resolved)
        self.ranks.wait()
        return Trained(self.storage, self.storage.read_json(METRICS) or {}, True)

    def _begin(self, content: dict[str, Any]) -> None:
        """Writes what all ranks then find; on a first start it resolves what run.json keeps for resumes."""
        request, storage = self.request, self.storage
        started = storage.read_json(RUN)
        if started is None:
            storage.write_json(RUN, content)  # first of all: it says whose folder this is
        models = load_models(request, self.checked)
        make_stage(request, models[1], models[0])  # refuses what does not fit before a corpus is read for hours
        length, limit = request.reading.max_length, request.corpus.limit
        tokenizer = self.checked.teacher.tokenizer
        packed = pack_corpus(storage, self.checked.corpus, tokenizer, length, limit, self.reporter)
        self.reporter.message(f"corpus: {packed.sequences:,} sequences, {packed.tokens:,} tokens")
        if started is not None and "resolved" in started:
            return
        plan = plan_general(request, self.checked, *models, self.root, packed, self.caches)
        check_disk(self.caches, plan.estimate.cache_bytes, "the teacher cache")
        check_disk(self.root, plan.estimate.disk_bytes, "checkpoints and models")
        stream = packed_stream(request, self.checked, str(self.root / FOLDER), static=True)
        claim_caches(request.cache, models[0], stream, {plan.cache.content}, self.caches)
        for note in plan.estimate.notes:
            self.reporter.warning(note)
        seconds = plan.estimate.seconds
        if is_long(seconds, request.machine.device):
            self.reporter.warning(
                f"this will take {duration(seconds)} on this machine; for a first look --max-steps 100 or --limit; a "
                "GPU is much faster"
            )
        resolved = {
            "layer_map": self.checked.student.layer_map,
            "student_start": self.checked.student.start,
            "cache": asdict(plan.cache),
            "sequences": packed.sequences,
            "tokens": packed.tokens,
            "device": request.machine.device,
            "estimated_seconds": round(seconds, 1),
        }
        storage.write_json(RUN, {**(started or content), "resolved": resolved})

    def _train(self, resolved: dict[str, Any]) -> None:
        request, recipe, content = self.request, self.request.recipe, resolved["cache"]["content"]
        teacher, student = load_models(request, self.checked)
        stage = make_stage(request, student, teacher)
        stream = packed_stream(request, self.checked, str(self.root / FOLDER), static=content == "full")
        targets = open_targets(request, teacher, stream, content, self.caches, self.ranks)
        settings = replace(train_settings(recipe, request.machine, request.reading.seed), warmup_steps=WARMUP_STEPS)
        examples = recipe.examples(len(stream), request.reading.seed)
        state = train_stage(stage, stream, targets, self.root / STAGE, settings, None, self.reporter, examples)
        if self.ranks.main:
            self._publish(resolved, state, student)

    def _publish(self, resolved: dict[str, Any], state: RunState, student: Any) -> None:
        masked_lm = self.request.masked_lm.on
        model = student.model if masked_lm else student.model.base_model
        tokenizer, text = self.checked.teacher.tokenizer, self._card(resolved, state)
        files = publish(self.storage, lambda folder: save_model(folder, model, tokenizer, text, student.projections))
        metrics = {
            "sequences": resolved["sequences"],
            "tokens": resolved["tokens"],
            "steps": state.step,
            "examples": state.examples,
            "seconds": round(state.seconds, 1),
            "losses": _last_losses(self.root / STAGE / "losses.csv"),
            "layer_map": resolved["layer_map"],
            "parameters": model.num_parameters(),
            "files": files,
        }
        self.storage.write_json(METRICS, metrics)
        drop_checkpoints(self.root / STAGE)

    def _card(self, resolved: dict[str, Any], state: RunState) -> str:
        request, config = self.request, self.checked.student.config
        recipe, choice = request.recipe, request.masked_lm
        facts = {
            "teacher": f"`{request.teacher}`",
            "student": f"{config.num_hidden_layers} layers, width {config.hidden_size}, "
            f"{config.num_attention_heads} heads, started from {request.start}, embeddings {request.embeddings}",
            "layer map": _listed(resolved),
            "corpus": f"{resolved['sequences']:,} sequences of at most {request.reading.max_length} tokens, "
            f"{resolved['tokens']:,} tokens",
            "training": f"{state.step:,} steps of {recipe.batch_rows} sequences, learning rate {recipe.learning_rate}",
            "losses": ", ".join(request.losses.kinds)
            + (f", masked LM (weight {choice.weight}, teacher's predictions {choice.soft})" if choice.on else ""),
            "seed": request.reading.seed,
        }
        about = (
            f"A student of `{request.teacher}` for any task, made by `tinyaug distill-general`: it is to be distilled, "
            "or fine-tuned, for one."
        )
        return general_card(about, facts, choice.on)


def _content(request: GeneralRequest, checked: CheckedGeneral) -> dict[str, Any]:
    machine, student = request.machine, checked.student
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
        "corpus": {"column": request.corpus.column, "limit": request.corpus.limit},
        "cache": {"mode": request.cache.mode, "budget": request.cache.budget},
        "reading": asdict(request.reading),
        "precision": machine.precision,
        "accumulation": machine.accumulation,
    }
    models = {"teacher": checked.teacher.found.fingerprint}
    if student.found is not None:
        models["student"] = student.found.fingerprint
    sources = {
        "corpus": request.corpus.place,
        "teacher": request.teacher,
        "teacher_revision": checked.teacher.found.revision,
        "student": student.shape,
        "student_init": request.start,
    }
    inputs = {"corpus": checked.corpus.inputs()}
    return {**run_content(KIND, settings, {"name": "general"}, inputs, models), "sources": sources}


def _last_losses(path: Any) -> dict[str, float]:
    """The losses of the last step, by kind."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {kind: float(value) for kind, value in list(rows[-1].items())[4:]}


def _listed(resolved: dict[str, Any]) -> str:
    return ", ".join(str(layer) for layer in resolved["layer_map"])
