"""`tinyaug run`: check everything, augment, fine-tune a teacher, distil a student, sum up; done stages are skipped."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.augment_job import run_augment
from pipelines.errors import JobError, UserError
from pipelines.lock import only_writer
from pipelines.request import check_inputs
from pipelines.run_file import read_run
from pipelines.training.distill_checks import TeacherFiles, check_teacher, plan_student
from pipelines.training.distill_job import run_distill
from pipelines.training.evaluate_job import run_evaluate
from pipelines.training.finetune_job import check_finetune, run_finetune
from pipelines.training.folder import METRICS, stage_storage, started_run
from pipelines.training.models import find_model, load_config, load_tokenizer
from pipelines.training.parts import open_data
from pipelines.training.run_metrics import run_metrics
from pipelines.training.submission import submitted_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from pipelines.augment_job import Outcome
    from pipelines.reporting import Reporter
    from pipelines.request import AugmentRequest
    from pipelines.storage import Storage
    from pipelines.training.finetune_job import Trained
    from pipelines.training.reporting import TrainingReporter
    from pipelines.training.request import DistillRequest, EvaluateRequest, FinetuneRequest


@dataclass(frozen=True)
class RunRequest:
    """Everything from texts to a student.

    Args:
        augment: the first stage; its `out` is the run directory.
        finetune: the teacher; None where one is given.
        distill: the student.
        evaluate: the student's answers for the server and its predictions; None for neither.
        profile: paper, quick or demo.
        demo: on the embedded pack: some verdicts are kept to be shown.
    """

    augment: AugmentRequest
    finetune: FinetuneRequest | None
    distill: DistillRequest
    evaluate: EvaluateRequest | None = None
    profile: str = "paper"
    demo: bool = False


@dataclass(frozen=True)
class RunOutcome:
    """What came of it.

    Args:
        storage: the run directory.
        augmented: the first stage.
        teacher: the second; None where a teacher was given.
        student: the third.
        metrics: the content of metrics.json.
    """

    storage: Storage
    augmented: Outcome
    teacher: Trained | None
    student: Trained
    metrics: dict[str, Any]


class Reporting(Protocol):
    """Opens what shows the progress of each kind of stage."""

    def augmenting(self) -> AbstractContextManager[Reporter]:
        """For the augmentation."""

    def training(self) -> AbstractContextManager[TrainingReporter]:
        """For everything else."""


def run_task(request: RunRequest, reporting: Reporting) -> RunOutcome:
    """Runs what is left of all stages.

    Args:
        request: what the user asked for.
        reporting: shows progress.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError, VectorsError: a mistake of the user's.
        JobError: a stage failed; what was finished is kept.
    """
    began = time.monotonic()
    with reporting.augmenting() as reporter:
        check_run(request, reporter)
    augmenting = time.monotonic()
    with reporting.augmenting() as reporter, _own_threads():
        augmented = run_augment(request.augment, reporter)
    augmenting = time.monotonic() - augmenting
    if augmented.rejected and not request.augment.allow_rejects:
        raise JobError(
            f"{augmented.rejected} rows were rejected (rejected.parquet); look at them, then go on with --allow-rejects"
        )
    teacher = None
    storage = stage_storage(request.augment.out, "a run with training")
    with reporting.training() as progress:
        if request.finetune is not None:
            teacher = run_finetune(request.finetune, progress)
        student = run_distill(request.distill, progress, request.profile)
        if request.evaluate is not None:
            run_evaluate(request.evaluate, progress)
        earlier = storage.read_json(METRICS)
        metrics = run_metrics(request, augmented, teacher, student, earlier)
    seconds = {"augment": round(augmenting, 1) if augmented.fresh else None, "all": round(time.monotonic() - began, 1)}
    done_before = earlier is not None and not augmented.fresh and not student.fresh
    metrics["seconds"] = (earlier or {}).get("seconds", seconds) if done_before else seconds
    with only_writer(storage):
        storage.write_json(METRICS, metrics)
    return RunOutcome(storage, augmented, teacher, student, metrics)


def check_run(request: RunRequest, reporter: Reporter) -> TeacherFiles:
    """Checks every stage's needs before the first one starts.

    Args:
        request: what the user asked for.
        reporter: is told while vectors are converted.

    Returns:
        The teacher's files, or those of the encoder that it will be made from.

    Raises:
        UserError, AugmentError, DistillError, VectorsError: naming what is missing or does not fit.
    """
    if not request.augment.overwrite:
        read_run(stage_storage(request.augment.out, "a run with training"))
    check_inputs(request.augment, reporter)
    data = open_data(request.distill.data)
    if request.evaluate is not None and request.evaluate.submission is not None and data.opened is not None:
        for part in submitted_parts(data.task):
            data.opened.split(part)
    if request.finetune is not None:
        encoder = check_finetune(request.finetune)
        teacher = TeacherFiles(replace(encoder.found, what="teacher model"), encoder.config, encoder.tokenizer)
    else:
        found = find_model(request.distill.teacher, request.distill.teacher_revision, "teacher")
        teacher = TeacherFiles(found, load_config(found), load_tokenizer(found))
    check_teacher(teacher, data.task, request.distill.reading.max_length)
    plan_student(request.distill, teacher)
    if data.task.label.kind == "none":
        raise UserError("expected a task with labels to train on, found none; name them with --label COLUMN")
    if not request.augment.overwrite:
        started_run(stage_storage(request.distill.out, "a model"), "distill", overwrite=False)
    return teacher


@contextmanager
def _own_threads() -> Iterator[None]:
    """Augmentation sets torch to its workers' threads; training wants what the machine has."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
