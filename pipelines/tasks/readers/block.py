"""Lines that follow each other in a file, as one piece of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_QUOTE, _FEED = b'"'[0], b"\n"[0]


@dataclass(frozen=True)
class Block:
    """Lines that follow each other.

    Attributes:
        data: Their bytes.
        ends: Where each of them ends (int64).
    """

    data: bytes
    ends: np.ndarray

    @staticmethod
    def of(data: bytes) -> Block:
        """The lines of some bytes: one if there are none."""
        content = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
        ends = np.flatnonzero(content == _FEED) + 1
        whole = len(ends) and ends[-1] == len(data)
        return Block(data, ends if whole else np.append(ends, len(data)))

    @staticmethod
    def joined(blocks: Sequence[Block]) -> Block:
        """The lines of several blocks."""
        before = np.cumsum([0, *(len(block.data) for block in blocks)])
        ends = [block.ends + start for block, start in zip(blocks, before, strict=False)]
        return Block(b"".join([block.data for block in blocks]), np.concatenate([np.zeros(0, np.int64), *ends]))

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def begins(self) -> np.ndarray:
        """Where each line begins (int64)."""
        return np.concatenate([[0], self.ends[:-1]])

    def part(self, first: int, last: int) -> Block:
        """The lines from one number up to another, or to the end."""
        if first == 0 and last >= len(self):
            return self
        start = int(self.ends[first - 1]) if first else 0
        ends = self.ends[first:last]
        return Block(self.data[start : int(ends[-1])] if len(ends) else b"", ends - start)

    def lines(self) -> list[bytes]:
        """The lines, each by itself."""
        return (BytesIO(self.data).readlines() or [self.data]) if len(self) else []

    def row_ends(self) -> np.ndarray:
        """The lines that quoted rows end with, int64: those after which the number of quotation marks is even."""
        if b'"' not in self.data:
            return np.arange(len(self))
        marks = np.flatnonzero(np.frombuffer(self.data, np.uint8) == _QUOTE)
        return np.flatnonzero(np.searchsorted(marks, self.ends) % 2 == 0)
