"""`tinyaug run --dry-run`: what every stage would cost, before any of them was begun."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.estimate import estimate
from pipelines.storage import Storage
from pipelines.training.distill_checks import CheckedDistill, plan_student
from pipelines.training.distill_job import cache_root
from pipelines.training.distill_plan import plan_distill
from pipelines.training.distill_session import load_student
from pipelines.training.estimates import TrainingEstimate
from pipelines.training.folder import stage_storage
from pipelines.training.models import load_classifier, move
from pipelines.training.parts import open_data, write_part
from pipelines.training.plans import plan_finetune
from pipelines.training.run_job import check_run
from pipelines.training.teacher_kernel import pack_teacher

if TYPE_CHECKING:
    from pipelines.estimate import Estimate
    from pipelines.reporting import Reporter
    from pipelines.training.distill_checks import TeacherFiles
    from pipelines.training.run_job import RunRequest


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run.

    Args:
        augment: of the augmentation.
        training: of the stages after it.
    """

    augment: Estimate
    training: TrainingEstimate

    @property
    def seconds(self) -> float:
        """Time of all stages on this machine."""
        return self.augment.seconds + self.training.seconds


def plan_run(request: RunRequest, reporter: Reporter) -> RunPlan:
    """Measures each stage for a few seconds; the student on the train part as it is, for variants are as long.

    Args:
        request: what the user asked for.
        reporter: is told what is being done.

    Raises:
        UserError, AugmentError, DistillError, VectorsError: something cannot be used.
    """
    teacher = check_run(request, reporter)
    augment = estimate(request.augment, reporter)
    reporter.message("measuring training steps")
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        distill = _plan_distill(request, teacher, augment.output_rows, Storage(f"{folder}/student"))
        if request.finetune is None:
            return RunPlan(augment, distill)
        finetune = plan_finetune(request.finetune, f"{folder}/teacher")
    stages = (*finetune.stages, *distill.stages)
    return RunPlan(
        augment,
        TrainingEstimate(stages, distill.cache, distill.cache_bytes, distill.disk_bytes + finetune.disk_bytes),
    )


def _plan_distill(request: RunRequest, files: TeacherFiles, rows: int, storage: Storage) -> TrainingEstimate:
    from distill.teacher import Precision, Teacher

    asked = request.distill
    checked = CheckedDistill(open_data(asked.data), None, files, plan_student(asked, files))
    model = load_classifier(files.found, files.config, asked.reading.seed if request.finetune else None)
    move(model, asked.machine.device)
    layers = checked.student.layer_map if asked.intermediate.epochs else ()
    teacher = Teacher(model, layers, Precision(asked.machine.precision))
    student = load_student(asked, checked, teacher)
    pack_teacher(teacher)
    move(student.model, asked.machine.device)
    place = write_part(storage, checked.data, "train")
    caches = cache_root(asked, stage_storage(asked.out, "a model"))
    rows = min(rows, asked.reading.train_rows or rows)
    return plan_distill(asked, checked, teacher, student, place, caches, rows).estimate
