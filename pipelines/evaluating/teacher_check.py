"""Judges a teacher before a student learns from it: most often one was not fine-tuned, or for another task."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import TYPE_CHECKING

from distill.errors import DistillError
from pipelines.errors import UserError
from pipelines.evaluating.dev_scores import Judged, Predictor
from pipelines.evaluating.label_order import misorder_words, order_note
from pipelines.run_folder.storage import Storage
from pipelines.training.parts import TaskData, row_columns, write_part, write_subset

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.metrics import Scores
    from pipelines.distilling.checks import TeacherFiles
    from pipelines.reporting import Reporter
    from pipelines.squad.judging import Answered
    from pipelines.training.request import DistillRequest

ORDER_ROWS = 200  # of dev; fewer may be too few to tell one order of labels from another
EARLY_ROWS = 2_000  # of a part: they tell a teacher from chance, and a CPU predicts them in minutes


def judge_teacher(
    model: PreTrainedModel,
    files: TeacherFiles,
    data: TaskData,
    request: DistillRequest,
    reporter: Reporter,
    storage: Storage | None = None,
) -> Scores:
    """The teacher's dev metrics; warns when they are near or below chance.

    Args:
        model: the teacher, its outputs in the order of the task's classes.
        files: it was loaded from.
        data: the task.
        request: what the user asked for.
        reporter: is told the result.
        storage: folder that dev parts are written into; without one, `EARLY_ROWS` rows of the selecting dev part are
            judged, and nothing is written into a folder of the user's.

    Returns:
        Dev part -> metric -> value; empty without a labelled dev part, and where some of its rows were not judged.

    Raises:
        UserError: its predictions are not finite numbers, or fit another order of its labels far better.
    """
    for note in order_note(files.found, files.config, data.task):
        reporter.message(note)
    reporter.message("judging the teacher")
    judge, most = partial(_judge, model, files, data, request), EARLY_ROWS if storage is None else None
    parts = data.dev_parts if storage is not None else data.dev_parts[:1]
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        found = {part: judge(storage or Storage(folder), part, most) for part in parts}
        rows = len(found[parts[0]].labels) if parts else 0
        if not parts:
            reporter.warning("no labelled dev part: only the order of the teacher's labels is judged, by rows of train")
        if rows < ORDER_ROWS and data.opened is not None and data.task.label.kind == "class":
            judge(Storage(folder), "train", EARLY_ROWS)  # it may have seen them: its names are no less right
    for part in parts[:1]:
        reporter.message(f"teacher on {part}: {found[part]}")
        advice = f"was it fine-tuned for {data.task.name}?"
        found[part].warn_of_guess(data.task, part, reporter, f"teacher {files.found.name}: ", advice)
    is_whole = parts == data.dev_parts and (most is None or rows < most)
    return {part: judged.scores for part, judged in found.items()} if is_whole else {}


def _judge(
    model: PreTrainedModel,
    files: TeacherFiles,
    data: TaskData,
    request: DistillRequest,
    storage: Storage,
    part: str,
    most_rows: int | None,
) -> Judged | Answered:
    """Judges a part, or random rows of it, and refuses a teacher whose labels come in another order."""
    place, reading = write_part(storage, data, part), request.reading
    if most_rows is not None:
        place = write_subset(storage, place, row_columns(data.task, labelled=True), most_rows, reading.seed)
    predictor = Predictor(model, files.tokenizer, reading.max_length, request.machine.precision)
    try:
        judged = predictor.judge(place, data.task)
    except DistillError as error:
        raise UserError(f"teacher {files.found.name}: {error}") from error
    if misordered := misorder_words(files.found, files.config, data, part, judged):
        raise UserError(misordered)
    return judged
