"""What `tinyaug run` checks before its first stage starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.augmenting.request import check_inputs
from pipelines.distilling.checks import find_files
from pipelines.distilling.distill_job import DistillJob, StandIns
from pipelines.evaluating.evaluate_job import check_outputs
from pipelines.evaluating.label_order import load_in_order
from pipelines.evaluating.teacher_check import judge_teacher
from pipelines.models.labels import check_classes
from pipelines.models.load import move
from pipelines.run_folder.run_file import RUN, started_run
from pipelines.run_folder.stage_folder import stage_storage
from pipelines.teacher_cache.foreign import refuse_early
from pipelines.teacher_cache.room import check_cache_place
from pipelines.training.finetune_job import FinetuneJob
from pipelines.training.parts import check_dev_rows, open_data

if TYPE_CHECKING:
    from distill.metrics import Scores
    from pipelines.distilling.checks import TeacherFiles
    from pipelines.found import Found
    from pipelines.reporting import Reporter
    from pipelines.run.run_job import RunRequest
    from pipelines.run_folder.storage import Storage
    from pipelines.training.request import DistillRequest


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
    check_cache_place(request.distill.cache)
    started_run(storage, request.kind)
    if request.augments:
        check_inputs(request.augment, reporter, found)
    data = open_data(request.distill.data, found)
    check_classes(data.task)
    check_dev_rows(data)
    if request.evaluate is not None:
        check_outputs(request.evaluate, data, storage.local_folder().absolute())
    if request.finetune is not None:
        finetune = FinetuneJob(request.finetune, found)
        finetune.check()
        teacher = replace(finetune.files, found=replace(finetune.files.found, what="teacher model"))
    else:
        teacher = find_files(request.distill.teacher, request.distill.teacher_revision, "teacher", found)
    job = DistillJob(request.distill, found, stand_ins=StandIns(teacher, rows=0))
    job.check()
    begun = None
    if not request.augment.overwrite:
        begun = started_run(stage_storage(request.distill.out, "a model"), "distill", overwrite=False)
    if "resolved" not in (begun or {}):  # later it is known which cache is read, if any still is
        refuse_early(job.cache, job.method.trained, _known_of_cache(request.distill, teacher))
    return teacher


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


def _known_of_cache(request: DistillRequest, teacher: TeacherFiles) -> dict[str, str | int]:
    """Fields of a cache's key that do not wait for a teacher's weights."""
    config = teacher.config
    return {
        "max_length": request.reading.max_length,
        "precision": request.machine.precision,
        "heads": config.num_attention_heads,
        "width": config.hidden_size,
    }
