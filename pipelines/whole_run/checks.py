"""What `tinyaug run` checks and measures before its first stage starts: for --dry-run, and to announce its cost."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from augment.errors import AugmentError
from distill.errors import DistillError
from pipelines.augmenting.augment_job import is_augmented
from pipelines.augmenting.estimate import Estimate, estimate
from pipelines.augmenting.request import check_inputs
from pipelines.distilling.checks import DEFAULT_STUDENT, TeacherFiles, find_files
from pipelines.distilling.distill_job import DistillJob, StandIns
from pipelines.errors import UserError
from pipelines.evaluating.evaluate_job import check_outputs
from pipelines.evaluating.label_order import load_in_order
from pipelines.evaluating.teacher_check import judge_teacher
from pipelines.methods.names import METHODS
from pipelines.models.load import check_classes, move
from pipelines.run_folder.run_file import AUGMENT, RUN, started_run
from pipelines.run_folder.stage_folder import stage_storage
from pipelines.squad.windows import check_whole
from pipelines.teacher_cache.room import refuse_early
from pipelines.training.driver import plan
from pipelines.training.estimates import TrainingEstimate, is_long
from pipelines.training.finetune_job import FinetuneJob
from pipelines.training.parts import check_dev_rows, open_data
from pipelines.training.recipe import QUICK_ROWS, QUICK_SOURCES
from pipelines.training.request import DistillRequest
from pipelines.whole_run.baseline import check_baselines, plan_baselines
from pipelines.whole_run.over_corpus import check_corpus, corpus_job
from pipelines.wording import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distill.metrics import Scores
    from pipelines.found import Found
    from pipelines.reporting import Reporter
    from pipelines.run_folder.storage import Storage
    from pipelines.whole_run.run_job import RunRequest


ANNOUNCED_ROWS = 8_000  # first rows whose words are counted before a run, which must not wait long for it


def run_storage(request: RunRequest) -> Storage:
    """The run directory, which must be local."""
    return stage_storage(request.augment.out, "a run with training")


def check_run(request: RunRequest, reporter: Reporter, found: Found) -> TeacherFiles:
    """Checks every stage's needs before the first one starts.

    Args:
        request: what the user asked for.
        reporter: is told while vectors are converted.
        found: what the command has found already.

    Returns:
        The teacher's files, or those of the encoder that it will be made from.

    Raises:
        UserError, AugmentError, DistillError, VectorsError: naming what is missing or does not fit.
    """
    storage = run_storage(request)
    _refuse_other_method(request, storage)
    started_run(storage, request.kind)
    data = open_data(request.distill.data, found)
    check_classes(data.task, "train")
    check_dev_rows(data)
    if request.evaluate is not None:
        check_outputs(request.evaluate, data, storage.local_folder().absolute())
    if request.finetune is not None:
        finetune = FinetuneJob(request.finetune, found, 0 if request.finetune.train else None)
        finetune.check()
        teacher = replace(finetune.files, found=replace(finetune.files.found, what="teacher model"))
    else:
        distill = request.distill
        logits = METHODS[distill.method].build(distill).of_logits
        teacher = find_files(distill.teacher, distill.teacher_revision, "teacher", found, logits)
    shape = ""
    if request.general is not None:
        check_corpus(request.general, teacher, found)
        shape = request.general.student or DEFAULT_STUDENT
    job = DistillJob(request.distill, found, stand_ins=StandIns(teacher, rows=0, shape=shape))
    job.check()
    check_whole(data, job.tokenizer, job.max_length)
    check_baselines(request, found, job.stand_ins, data)
    if request.augments:
        check_inputs(request.augment, reporter, found)
    begun = None
    if not request.augment.overwrite:
        begun = started_run(stage_storage(request.distill.out, "a model"), "distill", overwrite=False)
    if "resolved" not in (begun or {}):  # later it is known which cache is read, if any still is
        known = {  # fields of a cache's key that do not wait for a teacher's weights
            "max_length": request.distill.reading.max_length,
            "precision": request.distill.machine.precision,
            "heads": getattr(teacher.config, "num_attention_heads", 0),
            "width": getattr(teacher.config, "hidden_size", 0),
        }
        refuse_early(job.cache, job.method.trained, known)
    return teacher


def _refuse_other_method(request: RunRequest, storage: Storage) -> None:
    """Refuses the folder of a method that does not augment if this one does, or the other way round.

    Raises:
        UserError: naming both methods.
    """
    kind = (storage.read_json(RUN) or {}).get("kind", AUGMENT)
    student = storage.read_json(f"student/{RUN}")
    if kind != request.kind and student is not None:
        there, now = student["settings"].get("method", DistillRequest.method), request.distill.method
        raise UserError(
            f"{storage.display()}: expected the settings it was begun with, found other --method: {there} there, {now} "
            "now. Use the same method, or another --out"
        )


def judge_early(request: RunRequest, files: TeacherFiles, reporter: Reporter, found: Found) -> Scores:
    """Judges a teacher that was given before the hours of an augmentation, by some rows; once for a run.

    Args:
        request: what the user asked for.
        files: of the teacher.
        reporter: is told the result.
        found: what the command has found already.

    Returns:
        Its dev metrics, where all dev rows were judged.

    Raises:
        UserError: as `judge_teacher`.
    """
    distill = request.distill
    begun = None if request.augment.overwrite else stage_storage(distill.out, "a model").read_json(RUN)
    if request.finetune is not None or "resolved" in (begun or {}):
        return {}
    import torch

    data = open_data(distill.data, found)
    model = load_in_order(files.found, files.config, data.task)
    move(model, distill.machine.device)
    judged = judge_teacher(model, files, data, distill, reporter)
    del model
    if distill.machine.device == "cuda":  # the augmentation's workers want the memory
        torch.cuda.empty_cache()
    return judged


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
    before, shape, is_made = [], "", True
    rows = None if augmented or augment is None else augment.output_rows
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        if request.general is not None:
            before.append(plan(corpus_job(request.general, found), f"{folder}/general").estimate)
            shape = "" if before[-1].done else request.general.student or DEFAULT_STUDENT
        if request.finetune is not None:
            made_of = rows if request.finetune.train else None
            before.append(plan(FinetuneJob(request.finetune, found, made_of), f"{folder}/teacher").estimate)
            is_made = before[-1].done
        stand_ins = StandIns(None if is_made else teacher, rows, shape)
        distill = plan(DistillJob(request.distill, found, stand_ins=stand_ins), f"{folder}/student").estimate
        if rows is not None and augment is not None:  # the originals alone
            stand_ins = replace(stand_ins, rows=augment.rows)
        after = plan_baselines(request, found, stand_ins, folder)
    every = (*before, distill, *after)
    training = replace(
        distill,
        stages=tuple(stage for one in every for stage in one.stages),
        cache_bytes=sum(one.cache_bytes for one in every),
        disk_bytes=sum(one.disk_bytes for one in every),
        notes=tuple(dict.fromkeys(note for one in every for note in one.notes)),
        facts=tuple(dict.fromkeys(fact for one in every for fact in one.facts)),
    )
    return RunPlan(augment, training, augmented)
