"""Labels of the input as class numbers and scores, and the classes of a column that names none."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.tasks.task import UNLABELLED, Label, RowError, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_CLASSES = 10_000
"""More distinct values than that are no classes but texts, numbers or ids."""

MISSING = frozenset({"nan", "null", "<na>", "n/a", "na", "none"})
PERHAPS_CLASSES = frozenset({"na", "none"})
"""What programs write for a missing label, lower-cased; the second also name classes where others do not count."""

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_GREATEST_FLOAT32 = 3.4028234663852886e38


class LabelReader:
    """Turns a label as it stands in the input into what the batches hold.

    A class may be written as its name or, where no name is a number, as its position ("1" or 1).

    Args:
        label: The task's label; not of the kind "none".
        may_lack: Whether a row may have no label (test parts): it gets -1.
        stored_names: Names of the classes that the file stores as numbers (a `datasets` ClassLabel).
    """

    def __init__(self, label: Label, may_lack: bool = False, stored_names: tuple[str, ...] = ()) -> None:
        self._label = label
        self._may_lack = may_lack
        self._stored_names = stored_names
        self._index = {name: index for index, name in enumerate(label.names)}
        if not any(_INTEGER.fullmatch(name) for name in label.names):
            self._index |= {str(index): index for index in range(len(label.names))}

    def __call__(self, value: object) -> int | float:
        """The class number (0-based) or the score of one label.

        Raises:
            RowError: If it is missing, an unknown class, no number or out of range.
        """
        if self._may_lack and (value is None or self._is_mark(str(value))):
            return UNLABELLED
        return self._class(value) if self._label.kind == "class" else self._score(value)

    def _is_mark(self, value: str) -> bool:
        if value in ("-1", "-1.0"):
            return "-1" not in self._index
        return not value or (value.lower() in MISSING and value not in self._index)

    def _class(self, value: object) -> int:
        if self._stored_names and isinstance(value, int) and 0 <= value < len(self._stored_names):
            value = self._stored_names[value]
        name = value if type(value) is str else class_name(value, self._label.column)
        index = self._index.get(name)
        if index is None:
            found = shown(name) if name else "an empty field"
            if name.lower() in MISSING:
                found += " (a missing label; --label-names makes it a class)"
            raise RowError(self._label.column, f"expected a label ({listed(self._index)}), found {found}")
        return index

    def _score(self, value: object) -> float:
        score = _number(value)
        if score is None or not abs(score) <= _GREATEST_FLOAT32:
            raise RowError(self._label.column, f"expected a finite number, found {shown(value)}")
        low, high = self._label.low, self._label.high
        if (low is not None and score < low) or (high is not None and score > high):
            raise RowError(self._label.column, f"expected a score from {low} to {high}, found {shown(value)}")
        return score


def _number(value: object) -> float | None:
    """The finite or infinite number that a value is; None where it is none."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value.strip(" ")) else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    # Compared before the conversion: an integer may be too large for any float.
    return float(value) if -_GREATEST_FLOAT32 <= value <= _GREATEST_FLOAT32 else None


def class_name(value: object, column: str | None) -> str:
    """A label as the name of its class: 1 and 1.0 are "1", True is "true".

    Raises:
        RowError: If it is null, or neither text nor a number nor a truth value.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int) or (isinstance(value, float) and not math.isnan(value)):
        return str(value)
    raise RowError(column, f"expected a label, found {'none' if value is None else shown(value)}")


def discover_classes(column: str, values: Iterable[object], sure: bool) -> Label | None:
    """The classes of a column: integers ascending, otherwise names in code-point order.

    Args:
        column: Its name.
        values: Its values; missing and unusable ones are passed over, reading the rows reports them.
        sure: Whether the user said that it holds classes; otherwise fractional numbers are refused.

    Returns:
        The label; None if there is none in any row.

    Raises:
        UserError: If there are too many, or it is unclear whether they are scores.
    """
    names: set[str] = set()
    has_floats = False
    for value in values:
        has_floats = has_floats or isinstance(value, float | Decimal)
        try:
            names.add(class_name(value, column))
        except RowError:
            continue
        if len(names) > MAX_CLASSES:
            raise UserError(
                f"label column {column!r}: expected classes, found more than {MAX_CLASSES:,} distinct values, "
                f"such as {shown(min(names))}. For numbers pass --label-type score."
            )
    names = _without_marks(names)
    if not names and not has_floats:
        return None
    if not sure and (has_floats or _are_fractional(names)):
        raise UserError(
            f"label column {column!r}: expected integers or names, found numbers such as "
            f"{shown(max(names, key=len, default='1.5'))}. Pass --label-type score or --label-type class."
        )
    return Label(column, "class", in_order(names))


def _without_marks(names: set[str]) -> set[str]:
    """The names without those that programs write for a missing label; `none` and `NA` do name classes of text."""
    named = {name for name in names if name and name.lower() not in MISSING}
    if all(_INTEGER.fullmatch(name) for name in named):
        return named
    return {name for name in names if name and name.lower() not in MISSING - PERHAPS_CLASSES}


def in_order(names: set[str]) -> tuple[str, ...]:
    """Class names in our order: ascending if all are integers, otherwise by code points."""
    if all(_INTEGER.fullmatch(name) for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def _are_fractional(names: set[str]) -> bool:
    """Whether all names are numbers, and not all of them integers."""
    return all(_NUMBER.fullmatch(name) for name in names) and any("." in name or "e" in name.lower() for name in names)
