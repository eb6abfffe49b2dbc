"""A teacher is judged before a student learns from it: an un-fine-tuned one is the most common mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.errors import DistillError
from pipelines.errors import UserError
from pipelines.training.judging import evaluate_parts, shown, warn_of_chance

if TYPE_CHECKING:
    from distill.teacher import Teacher
    from pipelines.storage import Storage
    from pipelines.training.distill_checks import CheckedDistill
    from pipelines.training.reporting import TrainingReporter
    from pipelines.training.request import DistillRequest


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
    reporter.message(f"teacher on {part}: {shown(found[part])}")
    advice = f"was it fine-tuned for {data.task.name}?"
    warn_of_chance(found, storage, data, reporter, f"teacher {name}: ", advice)
    return found
