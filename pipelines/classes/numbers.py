"""How many variants the rows of each class get: numbers by class, or as many as make all classes equal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from augment.errors import AugmentError
from augment.presets import DrawSettings
from pipelines.augmenting.plan import rows_of_example, varied_texts
from pipelines.errors import UserError
from pipelines.tasks.labels import LabelReader
from pipelines.tasks.task import RowError, listed, near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.augmenting.settings import JobSettings
    from pipelines.options.drawing import ByClass
    from pipelines.tasks import Label, Task

BALANCED = "--balance: expected at least two classes with rows"


def resolve(asked: ByClass, task: Task) -> tuple[int, ...]:
    """The variants of a row of each class, in the order of the task's classes.

    Raises:
        UserError: a task without classes, a class that it does not have, or one that was not told.
    """
    names = _class_names(task, "--n")
    read, found = LabelReader(task.label), dict[int, int]()
    for name, number in asked.named:
        try:
            place = int(read(name))
        except RowError:
            raise UserError(
                f"--n {name}={number}: expected a class of {task.name} ({listed(names)}), or its number from 0, found "
                f"{name!r}.{near(name, names)}"
            ) from None
        if place in found:
            raise UserError(f"--n: expected each class once, found {names[place]} twice")
        found[place] = number
    if asked.rest is None and len(found) < len(names):
        lacking = [name for place, name in enumerate(names) if place not in found]
        raise UserError(
            f"--n: expected a number for each class of {task.name}, found none for {listed(lacking)}; add "
            f"{lacking[0]}=N, or a plain N for all that are not named"
        )
    return tuple(found.get(place, asked.rest or 0) for place in range(len(names)))


def with_numbers(settings: JobSettings, asked: ByClass | None, task: Task) -> JobSettings:
    """The settings of a job with what was asked for by class.

    Args:
        settings: of the job.
        asked: numbers by class; None leaves what the settings have.
        task: the task.

    Raises:
        UserError: numbers or a balance that the task has no classes for, or no variants at all.
    """
    if asked is not None:
        numbers = resolve(asked, task)
        settings = replace(settings, by_class=numbers, draw=replace(settings.draw, n=max(numbers)))
    if settings.balance:
        check_balance(task, settings.by_class is not None)
    elif settings.draw.n == 0:
        raise UserError("--n: expected variants of some rows at least, found 0 of each; give a number above 0")
    return settings


def check_balance(task: Task, is_by_class: bool) -> None:
    """Refuses to balance what has no classes, or a single one, or numbers of its own for each.

    Raises:
        UserError: naming what was found.
    """
    if is_by_class:
        raise UserError("--balance: expected a plain --n beside it, found one for each class; leave one of them out")
    names = _class_names(task, "--balance")
    if len(names) < 2:
        raise UserError(f"{BALANCED}, found the class {listed(names)} alone; leave it out")


def balanced(label: Label, counts: Sequence[float], n: int, varied: int) -> tuple[tuple[int, int], ...]:
    """What makes all classes as large as the largest one, whose rows have n variants, originals counted.

    Args:
        label: of the task.
        counts: rows of each class.
        n: variants of each row of the largest class.
        varied: texts that are varied in turn: variants of a row come in so many at once.

    Returns:
        Of each class the variants of each row, and how many of its first rows have one more; none for a class without
        rows.

    Raises:
        UserError: a single class with rows, or one with so few that a row would have more variants than are possible.
    """
    filled = [name for name, count in zip(label.names, counts, strict=True) if count]
    if len(filled) < 2:
        raise UserError(f"{BALANCED}, found rows of {listed(filled)} alone; leave it out")
    most, found = int(max(counts)) * (1 + n * varied), []
    for name, count in zip(label.names, map(int, counts), strict=True):
        each, more = divmod((most - count) // varied, count) if count else (0, 0)
        try:
            DrawSettings(n=each + (more > 0))
        except AugmentError as error:
            raise UserError(
                f"--balance: expected classes that 10,000 variants of a row at most make equal, found {count:,} of "
                f"{name} beside {int(max(counts)):,} of another; lower --n, or set --n by class"
            ) from error
        found.append((each, more))
    return tuple(found)


def check_counts(settings: JobSettings, task: Task, counts: Sequence[float]) -> None:
    """Refuses classes that cannot be balanced, once their rows are known; arguments as of `expected_rows`.

    Raises:
        UserError: as `balanced`.
    """
    if settings.balance:
        balanced(task.label, counts, settings.draw.n, varied_texts(settings.draw, len(task.text_columns)))


def expected_rows(settings: JobSettings, task: Task, counts: Sequence[float], rows: int) -> int:
    """Rows that a job writes at most, originals counted.

    Args:
        settings: of the job.
        task: the task.
        counts: rows of each class, of a part of the rows at least; of other labels anything.
        rows: all rows.
    """
    draw, columns = settings.draw, len(task.text_columns)
    if settings.by_class is None and not settings.balance:
        return rows * int(rows_of_example(draw, columns))
    varied, share = varied_texts(draw, columns), rows / max(1, sum(counts))
    numbers = [(each, 0) for each in settings.by_class or ()] or balanced(task.label, counts, draw.n, varied)
    return round(
        share * sum(count + varied * (count * each + more) for count, (each, more) in zip(counts, numbers, strict=True))
    )


def described(settings: JobSettings, task: Task) -> str:
    """The N of a job in words."""
    if settings.by_class is not None:
        return ", ".join(f"{n} of {name}" for name, n in zip(task.label.names, settings.by_class, strict=True))
    return f"{settings.draw.n}" + (" of the largest class, and all classes as large" if settings.balance else "")


def of_rows(labels: np.ndarray, numbers: Sequence[tuple[int, int]]) -> np.ndarray:
    """Variants of each row, int64 (R,), by what `balanced` gave.

    Args:
        labels: int64 (R,) the class of each row of the whole input, in order.
        numbers: of each class.
    """
    each, more = np.array(numbers, np.int64).T
    order = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[order], labels[order])
    place = np.empty(len(labels), np.int64)  # of a row among those of its class
    place[order] = np.arange(len(labels)) - first
    return np.asarray(each[labels] + (place < more[labels]))


def _class_names(task: Task, option: str) -> tuple[str, ...]:
    if task.label.kind != "class":
        kind = {"score": "scores", "span": "answers"}.get(task.label.kind, "no labels")
        raise UserError(f"{option}: expected a task with classes, found {task.name} with {kind}; leave it out")
    return task.label.names
