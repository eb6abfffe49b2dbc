"""Which variants flip: a teacher gives them another label than their original, or a score more than 1 away from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipelines.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FARTHEST = 1.0  # that the score of a variant may be from its original's


@dataclass(frozen=True)
class Keys:
    """Which example and variant some rows are, ordered by both.

    Args:
        source: int64 (R,) row of the example in the input.
        variant: int32 (R,) number of the variant; 0 is the original.
    """

    source: NDArray[np.int64]
    variant: NDArray[np.int32]

    def originals(self, place: str) -> NDArray[np.int64]:
        """The place of each row's original among these rows (R,).

        Args:
            place: file of the rows, for messages.

        Raises:
            UserError: a variant does not come behind its original.
        """
        first = np.flatnonzero(self.variant == 0)
        of = np.searchsorted(first, np.arange(len(self.variant)), side="right") - 1
        lost = of < 0
        if len(first):
            lost |= self.source[first[np.maximum(of, 0)]] != self.source
        if lost.any():
            row = int(np.flatnonzero(lost)[0])
            raise UserError(
                f"{place}, row {row}: expected the variants of an example behind its original (variant 0), found none "
                "before it; audit the folder as `tinyaug augment` wrote it"
            )
        return np.asarray(first[of])

    def part(self, rows: NDArray[np.int64]) -> Keys:
        """Those of some rows."""
        return Keys(self.source[rows], self.variant[rows])


@dataclass(frozen=True)
class Flips:
    """What a teacher says of R rows.

    Args:
        prediction: float32 (R,) class numbers, or scores.
        confidence: float32 (R,) the probability that it gives its label; 1 for scores.
        flips: bool (R,); an original never does.
    """

    prediction: NDArray[np.float32]
    confidence: NDArray[np.float32]
    flips: NDArray[np.bool_]

    def part(self, rows: NDArray[np.int64]) -> Flips:
        """What it says of some of them."""
        return Flips(self.prediction[rows], self.confidence[rows], self.flips[rows])

    def table(self) -> pa.Table:
        """The same as a table."""
        return pa.table({"prediction": self.prediction, "confidence": self.confidence, "flips": self.flips})

    @staticmethod
    def of_table(table: pa.Table) -> Flips:
        """Reads it back."""
        return Flips(*(table.column(name).to_numpy() for name in ("prediction", "confidence", "flips")))


def find_flips(logits: NDArray[np.float32], originals: NDArray[np.int64]) -> Flips:
    """Compares what a teacher says of rows with what it says of their originals.

    Args:
        logits: (R, C) of the teacher; C = 1 for scores.
        originals: (R,) the place of each row's original.
    """
    from distill.evaluation import probabilities

    if logits.shape[1] == 1:
        scores = logits[:, 0]
        return Flips(scores, np.ones(len(scores), np.float32), np.abs(scores - scores[originals]) > FARTHEST)
    predicted = logits.argmax(-1)
    confidence = probabilities(logits).max(-1).astype(np.float32)
    return Flips(predicted.astype(np.float32), confidence, predicted != predicted[originals])
