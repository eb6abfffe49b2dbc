"""How masked copies are laid out in batches: what is padded to what, and which copies go together. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from augment.ragged import offsets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ALIGNED = 32  # see packed_linear.STEP
PADDED_AT_MOST = 0.75  # a copy shorter than this share of its batch's longest starts a new batch


class Layout(Enum):
    """A way to lay out copies; all give the same candidates, but for the last digits of scores.

    Attributes:
        NEAR: copies of about one length, padded to the longest. Fewest tokens, and nearly a shape for each batch.
        EQUAL: copies of one length, nothing padded and no mask; the last batch of a length is filled up.
        EIGHTS: lengths padded to multiples of 8; batches that are not full are filled up.
        PACKED: copies end to end, nothing padded; one number of tokens for all batches that are full.
    """

    NEAR = "near"
    EQUAL = "equal"
    EIGHTS = "eights"
    PACKED = "packed"


class Cut(NamedTuple):
    """A batch.

    Attributes:
        start: its first copy.
        stop: the copy after its last one.
        rows: of its tensor, filled up with more than the copies; 1 for copies end to end.
        width: tokens of a row.
    """

    start: int
    stop: int
    rows: int
    width: int


@dataclass(frozen=True)
class Cutter:
    """Cuts copies into batches.

    Args:
        lengths: int64 (N,) tokens of each copy, descending.
        layout: how they are laid out.
        batch_tokens: tokens of a full batch, padding included; a single copy may exceed it.
        window: tokens that the masked LM reads at most.
    """

    lengths: np.ndarray
    layout: Layout
    batch_tokens: int
    window: int

    def cuts(self) -> Iterator[Cut]:
        """All batches, in order; one less than half full goes on with shorter copies where the layout pads."""
        return self._end_to_end() if self.layout is Layout.PACKED else self._rectangles()

    def cut(self, start: int, stop: int, fill: bool = True) -> Cut:
        """The batch of some copies.

        Args:
            start: first of them.
            stop: after the last of them.
            fill: whether it may be filled up; not where memory is short.
        """
        if self.layout is Layout.PACKED:
            tokens = int(self.lengths[start:stop].sum())
            return Cut(start, stop, 1, _filled(tokens, self.batch_tokens) if fill else tokens)
        width = int(self._widths(self.lengths[start]))
        rows = stop - start
        if fill and self.layout is not Layout.NEAR:
            rows = _filled(rows, _rows_of_batch(width, self.batch_tokens))
        return Cut(start, stop, rows, width)

    def _end_to_end(self) -> Iterator[Cut]:
        ends, start = offsets_of(self.lengths), 0
        while start < len(self.lengths):
            fit = int(np.searchsorted(ends, ends[start] + self.batch_tokens, side="right")) - 1
            stop = max(fit, start + 1)
            yield self.cut(start, stop)
            start = stop

    def _rectangles(self) -> Iterator[Cut]:
        widths, start = self._widths(self.lengths), 0
        changes = np.flatnonzero(np.diff(widths)) + 1
        padded = 1.0 if self.layout is Layout.EQUAL else PADDED_AT_MOST
        while start < len(widths):
            width = int(widths[start])
            stop = min(start + _rows_of_batch(width, self.batch_tokens), len(widths))
            for change in changes[np.searchsorted(changes, start, side="right") :].tolist():
                if change >= stop:
                    break
                if 2 * (change - start) * width >= self.batch_tokens or widths[change] < padded * width:
                    stop = change
            yield self.cut(start, stop)
            start = stop

    def _widths(self, lengths: np.ndarray) -> np.ndarray:
        """Tokens of a row that a copy is the longest of."""
        return np.minimum(-(-lengths // 8) * 8, self.window) if self.layout is Layout.EIGHTS else lengths


def _rows_of_batch(width: int, batch_tokens: int) -> int:
    """Rows of a full batch; where few are lost, their tokens are a multiple of ALIGNED, which kernels like."""
    rows = max(1, batch_tokens // width)
    step = ALIGNED // gcd(width, ALIGNED)
    return rows // step * step if rows >= 2 * step else rows


def _filled(needed: int, full: int) -> int:
    """The least of `full`, its half, its quarter … that is enough: few sizes, and none that is mostly filling."""
    while full // 2 >= needed:
        full //= 2
    return max(full, needed)
