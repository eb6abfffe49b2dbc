"""Which variants equal an example of the task's dev or test part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from augment.text_numbers import text_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa


class HeldOut:
    """The examples of the dev and test parts.

    Args:
        examples: their texts, C string columns.
    """

    def __init__(self, examples: pa.Table) -> None:
        self._known = [column.combine_chunks() for column in examples.itercolumns()]
        self._ids = {text_id(*texts) for texts in _rows(self._known)}

    def contains(self, columns: list[pa.Array]) -> np.ndarray:
        """Which of some variants occur there: all their texts equal those of one example.

        Args:
            columns: C string arrays of J texts.

        Returns:
            bool (J,).
        """
        found = np.ones(len(columns[0]), dtype=bool)
        for column, known in zip(columns, self._known, strict=True):
            found &= np.asarray(pc.is_in(column, value_set=known))
        likely = np.flatnonzero(found)  # each text occurs there, but not in one example for sure
        texts = _rows([column.take(likely) for column in columns])
        found[likely] = [text_id(*row) in self._ids for row in texts]
        return found


def _rows(columns: list[pa.Array]) -> Iterable[tuple[str, ...]]:
    return zip(*(column.to_pylist() for column in columns), strict=True)
