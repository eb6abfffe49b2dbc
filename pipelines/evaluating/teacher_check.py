"""A teacher is judged before a student learns from it: an un-fine-tuned one is the most common mistake."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from distill.errors import DistillError
from pipelines.errors import UserError
from pipelines.evaluating.dev_scores import metrics_of, predict_part, shown, warn_of_guess
from pipelines.evaluating.label_order import judged_order, load_in_order, order_note
from pipelines.run_folder.stage_folder import RUN, stage_storage
from pipelines.run_folder.storage import Storage
from pipelines.training.models import move
from pipelines.training.parts import open_data, task_columns, write_part, write_subset

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

    from pipelines.distilling.checks import TeacherFiles
    from pipelines.evaluating.dev_scores import Scores
    from pipelines.run.run_job import RunRequest
    from pipelines.training.parts import TaskData
    from pipelines.training.reporting import TrainingReporter
    from pipelines.training.request import DistillRequest

ORDER_ROWS = 200  # of dev; fewer may be too few to tell one order of labels from another
EARLY_ROWS = 2_000  # of a dev part: they tell a teacher from chance, and a CPU predicts them in minutes


def judge_teacher(
    model: PreTrainedModel,
    files: TeacherFiles,
    storage: Storage,
    data: TaskData,
    request: DistillRequest,
    reporter: TrainingReporter,
    most_rows: int | None = None,
) -> Scores:
    """The teacher's dev metrics; warns when they are near or below chance.

    Args:
        model: the teacher, its outputs in the order of the task's classes.
        files: it was loaded from.
        storage: folder that dev parts are written into.
        data: the task.
        request: what the user asked for.
        reporter: is told the result.
        most_rows: of the selecting dev part, which alone is judged then; None for all rows of all dev parts.

    Returns:
        Dev part -> metric -> value; empty without a labelled dev part.

    Raises:
        UserError: its predictions are not finite numbers, or fit another order of its labels far better.
    """
    from distill.metrics import compute_metrics

    for note in order_note(files.found, files.config, data.task):
        reporter.message(note)
    reporter.message("judging the teacher")
    if not data.dev_parts:
        reporter.warning("no labelled dev part: only the order of the teacher's labels is judged, by rows of train")
        _refuse_misorder_on_train(model, files, data, request)
        return {}
    who, found = f"teacher {files.found.name}: ", {}
    for part in data.dev_parts if most_rows is None else data.dev_parts[:1]:
        logits, labels = _predicted(model, files, storage, data, request, part, most_rows)
        try:
            found[part] = compute_metrics(metrics_of(data.task), logits, labels)
        except DistillError as error:
            raise UserError(f"{who}{error}") from error
        if part != data.dev_parts[0]:
            continue
        if misordered := judged_order(files.found, files.config, data, part, logits, labels):
            raise UserError(misordered)
        if len(labels) < ORDER_ROWS:
            _refuse_misorder_on_train(model, files, data, request)
        reporter.message(f"teacher on {part}: {shown(found[part])}")
        warn_of_guess(found[part], labels, data.task, part, reporter, who, f"was it fine-tuned for {data.task.name}?")
    return found


def _predicted(
    model: PreTrainedModel,
    files: TeacherFiles,
    storage: Storage,
    data: TaskData,
    request: DistillRequest,
    part: str,
    most_rows: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of a part, or of random rows of it."""
    place, reading = write_part(storage, data, part), request.reading
    columns = task_columns(data.task, labelled=True)
    if most_rows is not None:
        place = write_subset(storage, place, columns, most_rows, reading.seed)
    return predict_part(model, place, columns, files.tokenizer, reading.max_length, request.machine.precision)


def _refuse_misorder_on_train(
    model: PreTrainedModel, files: TeacherFiles, data: TaskData, request: DistillRequest
) -> None:
    """Judges the order of a teacher's labels by rows of train, which it may have seen: its names are no less right."""
    if data.opened is None or data.task.label.kind != "class":
        return
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        found = _predicted(model, files, Storage(folder), data, request, "train", EARLY_ROWS)
    if misordered := judged_order(files.found, files.config, data, "train", *found):
        raise UserError(misordered)


def judge_by_some(
    model: PreTrainedModel, files: TeacherFiles, data: TaskData, request: DistillRequest, reporter: TrainingReporter
) -> None:
    """Judges a teacher by some rows of the selecting dev part, with nothing written into a folder of the user's.

    Args:
        model: the teacher, its outputs in the order of the task's classes.
        files: it was loaded from.
        data: the task.
        request: what the user asked for.
        reporter: is told the result.

    Raises:
        UserError: as `judge_teacher`.
    """
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        judge_teacher(model, files, Storage(folder), data, request, reporter, EARLY_ROWS)


def judge_early(request: RunRequest, files: TeacherFiles, reporter: TrainingReporter) -> None:
    """Judges a teacher that was given before the hours of an augmentation, by some rows; once for a run.

    Args:
        request: what the user asked for.
        files: of the teacher.
        reporter: is told the result.

    Raises:
        UserError: as `judge_teacher`.
    """
    distill = request.distill
    begun = None if request.augment.overwrite else stage_storage(distill.out, "a model").read_json(RUN)
    data = open_data(distill.data)
    if request.finetune is not None or "resolved" in (begun or {}):
        return
    import torch

    model = load_in_order(files.found, files.config, data.task)
    move(model, distill.machine.device)
    judge_by_some(model, files, data, distill, reporter)
    del model
    if distill.machine.device == "cuda":  # the augmentation's workers want the memory
        torch.cuda.empty_cache()
