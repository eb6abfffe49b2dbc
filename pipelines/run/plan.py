"""What every stage of `tinyaug run` would cost, before any of them was begun: for --dry-run, and to announce it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from augment.errors import AugmentError
from distill.errors import DistillError
from pipelines.augmenting.augment_job import is_augmented
from pipelines.augmenting.estimate import estimate
from pipelines.distilling.distill_job import DistillJob, StandIns
from pipelines.errors import UserError
from pipelines.run.checks import check_run
from pipelines.training.driver import plan
from pipelines.training.estimates import TrainingEstimate, is_long
from pipelines.training.finetune_job import FinetuneJob
from pipelines.training.recipe import QUICK_ROWS, QUICK_SOURCES
from pipelines.wording import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.augmenting.estimate import Estimate
    from pipelines.distilling.checks import TeacherFiles
    from pipelines.found import Found
    from pipelines.reporting import Reporter
    from pipelines.run.run_job import RunRequest

ANNOUNCED_ROWS = 8_000  # first rows whose words are counted before a run, which must not wait long for it


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run.

    Args:
        augment: of the augmentation; None for a method that reads no augmented rows.
        training: of the stages after it.
        augmented: whether the augmentation is done already.
    """

    augment: Estimate | None
    training: TrainingEstimate
    augmented: bool = False

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return (self.augmented or self.augment is None) and self.training.done

    @property
    def augmenting(self) -> float:
        """Time of what is left of the augmentation."""
        return 0.0 if self.augmented or self.augment is None else self.augment.seconds

    @property
    def seconds(self) -> float:
        """Time of all stages on this machine."""
        return self.augmenting + self.training.seconds

    def warning(self, device: str, profile: str) -> str | None:
        """What to say before a long run; None for one that is not."""
        if not is_long(self.seconds, device, profile):
            return None
        share = 0.0 if self.augment is None else min(1.0, QUICK_SOURCES / max(1, self.augment.rows))
        quick = self.augmenting * share + sum(stage.quick().seconds for stage in self.training.stages)
        return (
            f"all stages will take {duration(self.seconds)} on this machine (augmentation "
            f"{duration(self.augmenting)}); for a first look --profile quick takes {duration(quick)} (the first "
            f"{QUICK_SOURCES:,} examples, {QUICK_ROWS:,} random rows of what they become, fewer epochs); a GPU is "
            "much faster"
        )


def plan_run(request: RunRequest, reporter: Reporter, found: Found) -> RunPlan:
    """Measures each stage for a few seconds; the student on the train part as it is, for variants are as long.

    Args:
        request: what the user asked for.
        reporter: is told what is being done.
        found: what the command has found already.

    Raises:
        UserError, AugmentError, DistillError, VectorsError: something cannot be used.
    """
    teacher = check_run(request, reporter, found)
    if not request.augments:
        return _with_training(request, teacher, None, reporter, found)
    augmented = is_augmented(request.augment, reporter, found)
    with own_threads():
        augment = estimate(request.augment, reporter, found)
    return _with_training(request, teacher, augment, reporter, found, augmented)


def announcement(request: RunRequest, teacher: TeacherFiles, reporter: Reporter, found: Found) -> str | None:
    """What to say before a run begins, by an estimate of some seconds; None for a run that is not long.

    Args:
        request: what the user asked for, checked.
        teacher: what the check found.
        reporter: is told what is being done.
        found: what the command has found already.
    """
    reporter.message("estimating how long all stages will take")
    try:
        augment = _rough_estimate(request, reporter, found) if request.augments else None
        plan = _with_training(request, teacher, augment, reporter, found)
    except (UserError, AugmentError, DistillError) as error:
        reporter.message(f"no estimate: {error}")  # the stage that meets it decides whether it stops the run
        return None
    return plan.warning(request.distill.machine.device, request.profile)


@contextmanager
def own_threads() -> Iterator[None]:
    """Augmentation sets torch to its workers' threads; training wants what the machine has."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _rough_estimate(request: RunRequest, reporter: Reporter, found: Found) -> Estimate:
    """The augmentation's, from its first rows."""
    asked = request.augment
    task = found.task(asked.task, asked.data, asked.custom, asked.data_revision, lambda _: None)
    rows = sum(batch.num_rows for batch in task.split("train").batches(limit=asked.settings.limit))
    few = replace(asked, settings=replace(asked.settings, limit=min(rows, ANNOUNCED_ROWS)))
    with own_threads():
        part = estimate(few, reporter, found)
    share = rows / max(1, part.rows)
    whole = {name: round(getattr(part, name) * share) for name in ("texts", "output_rows")}
    return replace(part, rows=rows, **whole, seconds=part.seconds * share)


def _with_training(
    request: RunRequest,
    teacher: TeacherFiles,
    augment: Estimate | None,
    reporter: Reporter,
    found: Found,
    augmented: bool = False,
) -> RunPlan:
    reporter.message("measuring training steps")
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        finetune = None
        if request.finetune is not None:
            finetune = plan(FinetuneJob(request.finetune, found), f"{folder}/teacher").estimate
        is_made = finetune is None or finetune.done
        stand_ins = StandIns(
            None if is_made else teacher, None if augmented or augment is None else augment.output_rows
        )
        distill = plan(DistillJob(request.distill, found, stand_ins=stand_ins), f"{folder}/student").estimate
    if finetune is None:
        return RunPlan(augment, distill, augmented)
    training = replace(
        distill,
        stages=(*finetune.stages, *distill.stages),
        disk_bytes=distill.disk_bytes + finetune.disk_bytes,
        notes=tuple(dict.fromkeys((*finetune.notes, *distill.notes))),
        facts=tuple(dict.fromkeys((*finetune.facts, *distill.facts))),
    )
    return RunPlan(augment, training, augmented)
