"""Labels of the input as class numbers and scores, and the classes of a column that names none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.tasks.task import UNLABELLED, Label, RowError, listed, shown, wrong_byte

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_CLASSES = 10_000
"""More distinct values than that are no classes but texts, numbers or ids."""

MISSING = frozenset({"nan", "null", "<na>", "n/a", "#n/a", "\\n", "na", "none", "-"})
PERHAPS_CLASSES = frozenset({"na", "none"})
"""What programs write for a missing label, lower-cased; the second also name classes where others do not count."""

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LIST = re.compile(r"""\[([-\d\s.,]*|\s*["'].*)\]|[({]\s*["'].*[)}]""", re.DOTALL)
_NUMBERED = re.compile(r"[+-]?([0-9]+).*|.*?([0-9]+)", re.DOTALL)
_MOST_DIGITS = 400  # before or after the point; the greatest float64 has 309
_GREATEST_FLOAT32 = 3.4028234663852886e38
_LISTED = "expected one label a row: several of them, or one for each token, are not supported"


@dataclass(frozen=True)
class LabelReader:
    """Turns a label as it stands in the input into what the batches hold.

    A class may be written as its name. Where the order of the names is known and they do not number the classes
    otherwise, it may also be written as its position ("1" or 1); of two truth values, as 0 or 1.

    Attributes:
        label: The task's label; not of the kind "none".
        may_lack: Whether a row may have no label (test parts): it gets -1.
        stored_names: Names of the classes that the file stores as numbers (a `datasets` ClassLabel).
        ordered: Whether the order of the names was told, and not found by sorting them.
        can_name: Whether the user may name other classes with --label-names.
    """

    label: Label
    may_lack: bool = False
    stored_names: tuple[str, ...] = ()
    ordered: bool = True
    can_name: bool = False

    @cached_property
    def _index(self) -> dict[str, int]:
        names = self.label.names
        index = {spelling: place for place, name in enumerate(names) for spelling in (plain_name(name), name)}
        truths = [name.lower() for name in names]
        if sorted(truths) == ["false", "true"]:
            for place, truth in enumerate(truths):
                index |= dict.fromkeys((truth, truth.title(), truth.upper(), "01"[truth == "true"]), place)
        elif self.ordered and not _numbered_otherwise(names):
            index |= {str(place): place for place in range(len(names))}
        return index

    def __call__(self, value: object) -> int | float:
        """The class number (0-based) or the score of one label.

        Raises:
            RowError: If it is missing, an unknown class, no number or out of range.
        """
        _refuse_bytes(value, self.label.column)
        if self.may_lack and (value is None or self._is_mark(value)):
            return UNLABELLED
        return self._class(value) if self.label.kind == "class" else self._score(value)

    def _is_mark(self, value: object) -> bool:
        text = "-1" if value == UNLABELLED else str(value).strip()
        return text not in self._index and (not text or text in ("-1", "-1.0") or text.lower() in MISSING)

    def _class(self, value: object) -> int:
        if self.stored_names and isinstance(value, int | float) and value in range(len(self.stored_names)):
            value = self.stored_names[int(value)]
        if isinstance(value, str) and value in self._index:
            return self._index[value]
        name = class_name(value, self.label.column)
        index = self._index.get(name)
        if index is None:
            found = f"{shown(name)}{self._hint(name)}" if name else "an empty field"
            raise RowError(self.label.column, f"expected a label ({listed(self._index)}), found {found}")
        return index

    def _hint(self, name: str) -> str:
        """What to do about a label that is no class, where that is known."""
        if name.lower() in MISSING or _is_negative(name):
            return " (a missing label; --label-names makes it a class)" if self.can_name else " (a missing label)"
        names = self.label.names
        if not self.can_name or all(map(_NUMBER.fullmatch, names)) or name not in map(str, range(len(names))):
            return ""
        if self.ordered:
            return " (a position, which the names seem to number otherwise; give --label-names without their numbers)"
        return " (a position; give --label-names in the order of the numbers)"

    def _score(self, value: object) -> float:
        score = _number(value)
        if score is None or not abs(score) <= _GREATEST_FLOAT32:
            raise RowError(self.label.column, f"expected a finite number, found {shown(value)}")
        low, high = self.label.low, self.label.high
        if (low is not None and score < low) or (high is not None and score > high):
            raise RowError(self.label.column, f"expected a score from {low} to {high}, found {shown(value)}")
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
    """A label as the name of its class, the same in every format: 1, 1.0, "1.0" and " 1 " are "1", True is "true".

    Raises:
        RowError: If it is null, no UTF-8, or neither text nor a number nor a truth value.
    """
    _refuse_bytes(value, column)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal) and value == value:  # NaN is not equal to itself
        value = str(value)
    if isinstance(value, list | dict) or (isinstance(value, str) and _LIST.fullmatch(value)):
        raise RowError(column, f"{_LISTED}; found {shown(value)}")
    if isinstance(value, str):
        return plain_name(value)
    raise RowError(column, f"expected a label, found {'none' if value is None else shown(value)}")


def _refuse_bytes(value: object, column: str | None) -> None:
    if isinstance(value, bytes):  # readers decode what is UTF-8
        raise RowError(column, wrong_byte(value))


def plain_name(text: str) -> str:
    """The text of a label without blanks around it; "1.0" and "1e0" as "1", "2.50" as "2.5", but "01" as it is."""
    text = text.strip()
    if not _is_fractional(text) or abs((number := Decimal(text)).adjusted()) > _MOST_DIGITS:
        return text
    digits = f"{number:f}"
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if number == 0 else digits


def _numbered_otherwise(names: tuple[str, ...]) -> bool:
    """Whether names number the classes in another way than their positions do, as "class_1, class_2" or "-1, 0, 1".

    Numbers inside several names count only if they follow each other: those of "covid19, flu" or "G20, G7" do not.
    """
    plain = list(enumerate(name.strip() for name in names))
    if any(_NUMBER.fullmatch(name) and name != str(place) for place, name in plain):
        return True
    numbers = {place: int(match[1] or match[2]) for place, name in plain if (match := _NUMBERED.fullmatch(name))}
    every = sorted(numbers.values())
    follow = len(every) > 1 and every == list(range(every[0], every[0] + len(every)))
    return follow and any(number != place for place, number in numbers.items())


def discover_classes(column: str, values: Iterable[object], sure: bool) -> tuple[Label | None, tuple[str, ...]]:
    """The classes of a column: integers ascending, otherwise names in code-point order.

    Args:
        column: Its name.
        values: Its values; missing and unusable ones are passed over, reading the rows reports them.
        sure: Whether the user said that it holds classes; otherwise fractional numbers are refused.

    Returns:
        The label, None if there is none in any row; and what to say of how the labels are read.

    Raises:
        UserError: If there are too many, all are lists, or it is unclear whether they are scores.
    """
    names: set[str] = set()
    has_floats, pointed, trimmed, several = False, "", "", ""
    for value in values:
        if isinstance(value, float | Decimal) and value == value:
            has_floats, pointed = True, pointed or str(value)
        try:
            names.add(class_name(value, column))
        except RowError as error:
            several = several or (str(error) if _LISTED in str(error) else "")
            continue
        if isinstance(value, str):
            trimmed = trimmed or (value if value != value.strip() != "" else "")
            pointed = pointed or (value if _is_fractional(value) else "")
        if len(names) > MAX_CLASSES:
            raise UserError(
                f"label column {column!r}: expected classes, found more than {MAX_CLASSES:,} distinct values, "
                f"such as {shown(min(names))}. For numbers pass --label-type score."
            )
    names, marks = _without_marks(_one_spelling(names))
    if not names and several:
        raise UserError(f"label column {column!r}: {several}. Name another with --label.")
    if not names:
        return None, ()
    if not sure and (has_floats or (pointed and all(map(_NUMBER.fullmatch, names)))):
        raise UserError(
            f"label column {column!r}: expected integers or names, found numbers such as {shown(pointed)}. "
            "Pass --label-type score or --label-type class."
        )
    said = [f"blanks around labels are left out, such as those of {shown(trimmed)}"] if trimmed else []
    said += [f"read as a class, though it often stands for a missing label: {mark}" for mark in sorted(marks)]
    return Label(column, "class", in_order(names)), tuple(f"label column {column!r}: {note}" for note in said)


def _one_spelling(names: set[str]) -> set[str]:
    """The names; truth values in lower case where they are spelled in several ways, such as `true` and `True`."""
    lower = {name.lower() for name in names}
    return lower if lower - MISSING - {""} == {"false", "true"} and len(names) > len(lower) else names


def _without_marks(names: set[str]) -> tuple[set[str], set[str]]:
    """The names without those that stand for a missing label; and those that do elsewhere, but are classes here.

    `none` and `NA` do name classes of text; a hyphen where `+` is another one; the only negative number, or a hyphen,
    where otherwise a single class would be left.
    """
    named = {name for name in names if name and (name == "-" or name.lower() not in MISSING)}
    if not all(_INTEGER.fullmatch(name) for name in named - {"-"}):
        named = {name for name in names if name and (name == "-" or name.lower() not in MISSING - PERHAPS_CLASSES)}
    negative = set(filter(_is_negative, named))
    marks = (negative if len(negative) == 1 else set()) | ({"-"} & named if "+" not in named else set())
    return (named - marks, set()) if len(named - marks) > 1 else (named, marks)


def _is_negative(name: str) -> bool:
    return name.startswith("-") and _INTEGER.fullmatch(name) is not None


def in_order(names: set[str]) -> tuple[str, ...]:
    """Class names in our order: ascending if all are integers, otherwise by code points."""
    return tuple(sorted(names, key=int if all(map(_INTEGER.fullmatch, names)) else str))


def _is_fractional(text: str) -> bool:
    """Whether a text is a number that is not written as an integer."""
    text = text.strip()
    return _NUMBER.fullmatch(text) is not None and ("." in text or "e" in text.lower())
