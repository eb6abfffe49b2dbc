"""The texts, or pairs of them, of one call of the Python interface: which are sound, and what each is drawn by."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from augment.errors import AugmentError, SkippedTextsWarning
from augment.hashing import text_numbers

ERRORS = ("raise", "skip")


class BadTexts:
    """Texts that cannot be worked on: the first one ends the call, or all are left out.

    Args:
        errors: `raise` or `skip`.

    Attributes:
        reasons: index of the text in the call -> why it is left out.

    Raises:
        AugmentError: another value of `errors`.
    """

    def __init__(self, errors: str) -> None:
        if errors not in ERRORS:
            raise AugmentError(f"errors: expected one of {', '.join(ERRORS)}, found {errors!r}")
        self.reasons: dict[int, str] = {}
        self._raises = errors == "raise"

    def add(self, reasons: dict[int, str], expected: str = "") -> None:
        """Takes note of bad texts.

        Args:
            reasons: index of the text in the call -> why.
            expected: what the error says before it names the text.

        Raises:
            AugmentError: with `errors="raise"`, naming the first of them.
        """
        if self._raises and reasons:
            index, reason = min(reasons.items())
            raise AugmentError(f"{expected}text {index}: {reason}")
        self.reasons.update(reasons)

    def warn(self, stacklevel: int) -> None:
        """Tells the caller of the interface what was left out, if anything was; `stacklevel` as in `warnings.warn`."""
        if self.reasons:
            warnings.warn(SkippedTextsWarning(self.reasons), stacklevel=stacklevel)


@dataclass(frozen=True)
class GivenTexts:
    """R texts or pairs of a call that can be worked on.

    Args:
        called_with: how many texts or pairs the call was given.
        columns: the texts; of pairs the first ones, then the second ones.
        places: int64 (R,) index of each in the call, ascending.
        numbers: int64 or uint64 (R,) what each is drawn by.
    """

    called_with: int
    columns: list[list[str]]
    places: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    def different(self) -> list[str]:
        """All texts, each once."""
        return list(dict.fromkeys(text for column in self.columns for text in column))

    def take(self, rows: np.ndarray) -> GivenTexts:
        """Some of them, by number."""
        columns = [[column[row] for row in rows.tolist()] for column in self.columns]
        return replace(self, columns=columns, places=self.places[rows], numbers=self.numbers[rows])

    def without(self, places: Iterable[int]) -> GivenTexts:
        """Those that are not at some places of the call."""
        return self.take(np.flatnonzero(~np.isin(self.places, list(places))))


def read_texts(
    texts: Iterable[str] | Iterable[tuple[str, str]], ids: Iterable[int] | None, bad: BadTexts
) -> GivenTexts:
    """Checks what a call was given and numbers it.

    Args:
        texts: the texts, or pairs of them: tuples or lists of two.
        ids: an integer for each text or pair to draw it by, or None to draw it by a hash of itself.
        bad: takes note of what is no text, or no pair among pairs.

    Returns:
        The texts that are texts.

    Raises:
        AugmentError: no list of texts, ids that do not fit, or a bad text that is not to be left out.
    """
    if isinstance(texts, (str, bytes, Mapping)) or not isinstance(texts, Iterable):
        raise AugmentError(
            f"texts: expected a list of strings, found {type(texts).__name__}; wrap a single text in [ ], of a batch "
            "give one column"
        )
    # Arrow's arrays give scalars of their own, which are no strings.
    listed: list[Any] = texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)
    numbers = None if ids is None else _read_ids(ids, len(listed))
    paired = next((_is_pair(one) for one in listed if _is_pair(one) or isinstance(one, str)), False)
    rows: list[Any] = [one if paired and _is_pair(one) else (one,) for one in listed]
    faults = {index: fault for index, row in enumerate(rows) if (fault := _row_fault(row, paired))}
    bad.add(faults, "texts: expected Unicode strings; ")
    places = np.array([index for index in range(len(rows)) if index not in faults], dtype=np.int64)
    good = [tuple(map(str, rows[index])) for index in places.tolist()]
    columns = [[row[column] for row in good] for column in range(2 if paired else 1)]
    if numbers is None:  # two pairs that are one text when joined draw the same numbers, and nothing else
        return GivenTexts(len(listed), columns, places, text_numbers(["\0".join(row) for row in good]))
    return GivenTexts(len(listed), columns, places, numbers[places])


def _is_pair(one: Any) -> bool:
    return isinstance(one, (tuple, list)) and len(one) == 2


def _row_fault(row: tuple[Any, ...], paired: bool) -> str:
    """Why a text, or a pair among pairs, cannot be worked on; empty if it can."""
    if paired and len(row) == 1:
        return f"expected a pair of texts, as others are, found {type(row[0]).__name__}"
    for name, text in zip(("first: ", "second: ") if paired else ("",), row, strict=True):
        if fault := _fault(text):
            return f"{name}{fault}"
    return ""


def _fault(text: Any) -> str:
    if not isinstance(text, str):
        return f"expected a string, found {type(text).__name__}"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return f"expected Unicode text, found half a surrogate pair in {text[:40]!r}"
    return ""


def _read_ids(ids: Iterable[int], texts: int) -> np.ndarray:
    """Ids as int64 (T,)."""
    if not isinstance(ids, Iterable):
        raise AugmentError(f"ids: expected integers, one for each text, found {ids!r}")
    numbers = []
    for place, one in enumerate(ids):
        try:
            numbers.append(np.int64(operator.index(one)))
        except (TypeError, OverflowError):
            raise AugmentError(f"ids: expected integers from -2^63 to 2^63 - 1, found {one!r} at {place}") from None
    if len(numbers) != texts:
        raise AugmentError(f"ids: expected one for each of {texts} texts, found {len(numbers)}")
    return np.array(numbers, dtype=np.int64)
