"""Which variants equal an example of the task's dev or test part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from pipelines.parquet import RowReader
from pipelines.snapshot import HELD_OUT

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.storage import Storage


class HeldOut:
    """The texts of the dev and test parts.

    Args:
        storage: the run directory with the input snapshot.
        names: of the text columns.
    """

    def __init__(self, storage: Storage, names: list[str]) -> None:
        reader = RowReader(storage, HELD_OUT)
        table = reader.range(0, reader.rows)
        reader.close()
        self._columns = [table.column(name).combine_chunks() for name in names]
        self._rows = (
            set(zip(*(column.to_pylist() for column in self._columns), strict=True)) if len(names) > 1 else None
        )

    def contains(self, columns: list[pa.Array]) -> np.ndarray:
        """Which of some variants occur there: all their texts equal those of one example.

        Args:
            columns: C string arrays of J texts.

        Returns:
            bool (J,).
        """
        found = np.ones(len(columns[0]), dtype=bool)
        for column, held_out in zip(columns, self._columns, strict=True):
            found &= np.asarray(pc.is_in(column, value_set=held_out))
        if self._rows is not None:  # each text occurs somewhere; do they occur together?
            for row in np.flatnonzero(found):
                found[row] = tuple(column[row].as_py() for column in columns) in self._rows
        return found
