"""Training texts of which a model sees only the beginning (--max-length), or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from distill.shards import ShardStream

WORTH_A_WARNING = 0.01


@dataclass(frozen=True)
class CutTexts:
    """What of the training texts is cut.

    Args:
        share: of the rows that are longer than the model is given, 0 to 1.
        facts: what to say of it.
        notes: what to warn of.
    """

    share: float
    facts: tuple[str, ...]
    notes: tuple[str, ...]


def cut_texts(stream: ShardStream) -> CutTexts:
    """Looks at a sample of the training rows.

    Args:
        stream: the rows.

    Raises:
        DistillError: a row group that cannot be read.
    """
    from distill.lengths import all_empty, whole_lengths

    lengths, most, rows = whole_lengths(stream), stream.settings.max_length, stream.files.rows
    share = round(float((lengths > most).mean()), 4)
    sample = f"{'a sample of ' if len(lengths) < rows else ''}{len(lengths):,} rows"
    cut = f"texts longer than --max-length {most}: {shown_share(share)} of {sample}"
    if share:
        tokens = int(np.percentile(lengths, 99, method="higher"))
        cut += f"; their ends are not seen, 99% have at most {tokens:,} tokens"
    empty = f"training rows with empty texts: {rows:,} of {rows:,}; there is nothing to learn from them"
    notes = (empty,) if all_empty(stream) else ()
    return CutTexts(share, (), (*notes, cut)) if share > WORTH_A_WARNING else CutTexts(share, (cut,), notes)


def shown_share(share: float) -> str:
    """A share as a percentage that is 0 only where nothing is."""
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"
