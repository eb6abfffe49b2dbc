"""A teacher is judged before a student learns from it: an un-fine-tuned one is the most common mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from distill.errors import DistillError
from pipelines.errors import UserError
from pipelines.training.judging import evaluate_parts
from pipelines.training.parts import write_part

if TYPE_CHECKING:
    from distill.teacher import Teacher
    from pipelines.storage import Storage
    from pipelines.training.distill_checks import CheckedDistill
    from pipelines.training.reporting import TrainingReporter
    from pipelines.training.request import DistillRequest

WEAK_CORRELATION = 0.1  # of a teacher's scores with the labels: below it, it has learnt nothing


def judge_teacher(
    teacher: Teacher,
    storage: Storage,
    checked: CheckedDistill,
    request: DistillRequest,
    reporter: TrainingReporter,
) -> dict[str, dict[str, float]]:
    """The teacher's dev metrics; warns when they are near chance.

    Args:
        teacher: the teacher.
        storage: folder that dev parts are written into.
        checked: the request's parts.
        request: what the user asked for.
        reporter: is told the result.

    Returns:
        Dev part -> metric -> value; empty without a labelled dev part.

    Raises:
        UserError: its predictions are not finite numbers.
    """
    data, name = checked.data, checked.teacher.found.name
    if not data.dev_parts:
        reporter.warning("no labelled dev part: the teacher cannot be judged before its student learns from it")
        return {}
    reporter.message("judging the teacher")
    try:
        found = evaluate_parts(
            teacher.model,
            storage,
            data,
            checked.teacher.tokenizer,
            request.reading.max_length,
            request.machine.precision,
        )
    except DistillError as error:
        raise UserError(f"teacher {name}: {error}") from error
    part = data.dev_parts[0]
    shown = ", ".join(f"{metric} {value:.4f}" for metric, value in found[part].items())
    reporter.message(f"teacher on {part}: {shown}")
    if is_near_chance(found[part], _label_counts(storage, checked, part)):
        reporter.warning(
            f"teacher {name}: its {part} result ({shown}) is near chance; it was most likely not fine-tuned for "
            f"{data.task.name}, or for other labels; make one with `tinyaug finetune`"
        )
    return found


def is_near_chance(found: dict[str, float], counts: list[int]) -> bool:
    """Whether metrics are what guessing reaches.

    Args:
        found: metric -> value.
        counts: dev rows of each class; empty for a score.
    """
    from distill.checks import near_chance

    if not counts:
        return max(found.values()) < WEAK_CORRELATION
    return near_chance(found["accuracy"], counts)


def _label_counts(storage: Storage, checked: CheckedDistill, part: str) -> list[int]:
    import pyarrow.parquet as pq

    label: Any = checked.data.task.label
    if label.kind != "class":
        return []
    values = pq.read_table(write_part(storage, checked.data, part), columns=[label.column]).column(0).to_numpy()
    counts: list[int] = np.bincount(values, minlength=len(label.names)).tolist()
    return counts
