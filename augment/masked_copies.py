"""Masked copies of texts (Algorithm 1, line 8) and the batches they run in. Pure numpy, no model."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from augment.masked_lm import Copies
from augment.ragged import ragged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from augment.words import TokenRows

ALIGNED = 32  # see packed_linear.STEP
PADDED_AT_MOST = 0.75  # a copy shorter than this share of its batch's longest starts a new batch


class Masks(NamedTuple):
    """M words to mask, in the order of their texts.

    Attributes:
        texts: int64 (M,) number of the text.
        words: int64 (M,) number of the word in its text, for the distance between masks.
        tokens: int64 (M,) position of its WordPiece in the text's ids.
        slots: int64 (M,) where its candidates go.
    """

    texts: np.ndarray
    words: np.ndarray
    tokens: np.ndarray
    slots: np.ndarray


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the masked LM's special tokens and the number of tokens it can read at once."""

    cls: int
    sep: int
    mask: int
    window: int


class MaskedCopies:
    """Every masked copy that some words need, longest first; a batch's token ids are made when it runs.

    Args:
        rows: token ids of T texts.
        seconds: T second segments; `rows` itself shows each text's window twice; None for no second segment.
        masks: the words to mask.
        special: special tokens and window.
        spacing: 0: one mask in a copy; S: words at least S words apart share one.

    Attributes:
        lengths: int64 (N,) tokens of each copy, descending; copies of one length stand in the order of their texts.
    """

    def __init__(
        self, rows: TokenRows, seconds: TokenRows | None, masks: Masks, special: SpecialIds, spacing: int = 0
    ) -> None:
        self._rows, self._seconds, self._special = rows, seconds, special
        sizes = np.diff(rows.offsets)
        room, self._kept = _rooms(rows, seconds, special.window)
        self._visible = np.minimum(sizes, room)
        length = self._visible + self._kept + (2 if seconds is None else 3)
        start = _window_starts(masks.tokens, sizes[masks.texts], room[masks.texts], spacing)
        name = masks.words % spacing if spacing else np.arange(len(masks.words))
        order = np.lexsort((name, start, masks.texts, -length[masks.texts]))
        copy = np.stack([masks.texts, start, name])[:, order]  # (3, M): masks with the same three share a copy
        first = np.flatnonzero(np.diff(copy, axis=1, prepend=-1).any(axis=0))
        self._texts, self._starts = copy[0, first], copy[1, first]
        self._first_masks = np.append(first, len(order))
        self._positions = (masks.tokens - start + 1)[order]
        self._slots = masks.slots[order]
        self.lengths = length[self._texts]

    def batches(self, batch_tokens: int) -> Iterator[tuple[int, int]]:
        """Cuts the copies into batches of about equal token counts.

        Args:
            batch_tokens: tokens in a batch, padding included; a single copy may exceed it.

        Yields:
            First copy, and copy after the last one. A batch less than half full goes on with the next shorter length.
        """
        lengths, start = self.lengths, 0
        changes = np.flatnonzero(np.diff(lengths)) + 1
        while start < len(lengths):
            width = int(lengths[start])
            stop = min(start + _rows_of_batch(width, batch_tokens), len(lengths))
            for change in changes[np.searchsorted(changes, start, side="right") :].tolist():
                if change >= stop:
                    break
                if 2 * (change - start) * width >= batch_tokens or lengths[change] < PADDED_AT_MOST * width:
                    stop = change
            yield start, stop
            start = stop

    def made(self, start: int, stop: int) -> tuple[Copies, np.ndarray, np.ndarray]:
        """Some copies.

        Args:
            start: first of them.
            stop: after the last of them.

        Returns:
            Copies, their slots int64 (M,) and texts int64 (M,) in the order `MaskedLM.propose` answers.
        """
        texts, lengths, special = self._texts[start:stop], self.lengths[start:stop], self._special
        copy, visible, begin = np.arange(len(texts)), self._visible[texts], self._starts[start:stop]
        ids = np.zeros((len(texts), lengths[0]), dtype=np.int64)
        ids[:, 0] = special.cls
        _lay(ids, np.ones_like(visible), self._rows.ids, self._rows.offsets[texts] + begin, visible)
        ids[copy, visible + 1] = special.sep
        if self._seconds is not None:
            where = self._seconds.offsets[texts] + (begin if self._seconds is self._rows else 0)
            _lay(ids, visible + 2, self._seconds.ids, where, self._kept[texts])
            ids[copy, lengths - 1] = special.sep
        first = self._first_masks[start : stop + 1]
        masks = slice(first[0], first[-1])
        owner = np.repeat(copy, np.diff(first))
        ids[owner, self._positions[masks]] = special.mask
        positions = np.full((len(texts), np.diff(first).max()), -1, dtype=np.int64)
        positions[owner, np.arange(first[0], first[-1]) - first[owner]] = self._positions[masks]
        return Copies(ids, lengths, visible + 2, positions), self._slots[masks], texts[owner]

    @property
    def counts(self) -> dict[str, int]:
        """Masked words, copies and their tokens, special tokens included."""
        return {
            "masked_words": len(self._slots),
            "masked_copies": len(self.lengths),
            "mlm_tokens": int(self.lengths.sum()),
        }


def _rows_of_batch(width: int, batch_tokens: int) -> int:
    """Rows of a full batch; where few are lost, their tokens are a multiple of ALIGNED, which kernels like."""
    rows = max(1, batch_tokens // width)
    step = ALIGNED // gcd(width, ALIGNED)
    return rows // step * step if rows >= 2 * step else rows


def _rooms(rows: TokenRows, seconds: TokenRows | None, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens that there is room for in the first segment, and tokens kept of the second, each (T,)."""
    sizes = np.diff(rows.offsets)
    if seconds is None:
        return np.full_like(sizes, window - 2), np.zeros_like(sizes)
    room = window - 3
    if seconds is rows:
        return np.full_like(sizes, room // 2), np.minimum(sizes, room // 2)
    kept = np.minimum(np.diff(seconds.offsets), np.maximum(room // 2, room - sizes))
    return room - kept, kept


def _window_starts(tokens: np.ndarray, sizes: np.ndarray, room: np.ndarray, spacing: int) -> np.ndarray:
    """First token of the window each masked word is seen in: all of a text that fits, else centred."""
    centre = tokens
    if spacing:  # words of one half window share a window, which shows a quarter of it on either side
        half = np.maximum(1, room // 2)
        centre = tokens // half * half + half // 2
    return np.maximum(0, np.minimum(centre - room // 2, sizes - room))


def _lay(ids: np.ndarray, columns: np.ndarray, source: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> None:
    """Writes a stretch of a flat array into each row, from a column on."""
    row, index = ragged(starts, counts)
    ids[row, columns[row] + index - starts[row]] = source[index]
