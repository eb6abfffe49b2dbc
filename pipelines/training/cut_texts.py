"""Texts longer than --max-length: the share of them, which a model never sees the ends of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from distill.shards import ShardStream

WORTH_A_WARNING = 0.01


@dataclass(frozen=True)
class CutTexts:
    """What of the training rows is cut.

    Args:
        share: of the rows that are longer than `max_length`, 0 to 1.
        max_length: tokens.
        most: tokens that 99% of the rows have at most.
        rows: that were looked at.
        data_rows: of the whole data.
    """

    share: float
    max_length: int
    most: int
    rows: int
    data_rows: int

    @property
    def facts(self) -> tuple[str, ...]:
        """The share in words, where it is small."""
        return () if self.share > WORTH_A_WARNING else (self._words,)

    @property
    def notes(self) -> tuple[str, ...]:
        """The share in words, where it is worth a warning."""
        return (self._words,) if self.share > WORTH_A_WARNING else ()

    @property
    def shown(self) -> str:
        """The share as a percentage."""
        return shown_share(self.share)

    @property
    def _words(self) -> str:
        rows = f"{'a sample of ' if self.rows < self.data_rows else ''}{self.rows:,} rows"
        ends = f"; their ends are not seen, 99% have at most {self.most:,} tokens" if self.share else ""
        return f"texts longer than --max-length {self.max_length}: {self.shown} of {rows}{ends}"


def shown_share(share: float) -> str:
    """A share as a percentage that is 0 only where nothing is."""
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def cut_texts(stream: ShardStream) -> CutTexts:
    """Looks at a sample of the training rows.

    Args:
        stream: the rows.

    Raises:
        DistillError: a row group that cannot be read.
    """
    from distill.lengths import whole_lengths

    lengths, most = whole_lengths(stream), stream.settings.max_length
    share, rows = float((lengths > most).mean()), len(lengths)
    tokens = int(np.percentile(lengths, 99, method="higher"))
    return CutTexts(round(share, 4), most, tokens, rows, stream.files.rows)
