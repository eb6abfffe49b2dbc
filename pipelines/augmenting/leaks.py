"""Which variants equal an example of the task's dev or test part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipelines.augmenting.numbering import DIGEST, find
from pipelines.augmenting.plan import text_id
from pipelines.augmenting.snapshot import HELD_OUT
from pipelines.run_folder.parquet import RowReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from pipelines.run_folder.storage import Storage

ROWS_AT_ONCE = 8192
END = 8  # bytes of either end of a text that are compared first
ODD = np.uint64(0x9E3779B97F4A7C15)


class HeldOut:
    """The examples of the dev and test parts, as 16-byte digests of their texts.

    Args:
        storage: the run directory with the input snapshot.
        names: of the text columns.
    """

    def __init__(self, storage: Storage, names: list[str]) -> None:
        reader = RowReader(storage, HELD_OUT)
        digests = [np.empty(0, dtype=DIGEST)]
        keys = [np.empty(0, dtype=np.uint64)]
        for first in range(0, reader.rows, ROWS_AT_ONCE):
            table = reader.range(first, min(first + ROWS_AT_ONCE, reader.rows))
            columns = [table.column(name).combine_chunks() for name in names]
            digests.append(_digests(zip(*(column.to_pylist() for column in columns), strict=True)))
            keys.append(np.unique(_keys(columns)))
        reader.close()
        self._digests = np.unique(np.concatenate(digests))
        self._keys = np.unique(np.concatenate(keys))

    def contains(self, columns: list[pa.Array]) -> np.ndarray:
        """Which of some variants occur there: all their texts equal those of one example.

        Args:
            columns: C string arrays of J texts.

        Returns:
            bool (J,).
        """
        likely = np.flatnonzero(find(self._keys, _keys(columns))[1])  # few, so few digests are made
        texts = (column.take(likely).to_pylist() for column in columns)
        found = np.zeros(len(columns[0]), dtype=bool)
        found[likely] = find(self._digests, _digests(zip(*texts, strict=True)))[1]
        return found


def _digests(rows: Iterable[tuple[str, ...]]) -> np.ndarray:
    return np.frombuffer(b"".join(text_id(*texts) for texts in rows), dtype=DIGEST)


def _keys(columns: list[pa.Array]) -> np.ndarray:
    """A number that equal rows have in common and other ones mostly not: uint64 (J,).

    Of each text its length, first and last eight bytes: a hundred times cheaper than a digest.
    """
    key = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        _, ends, content = column.buffers()
        bounds = np.frombuffer(ends, dtype=np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
        text = np.frombuffer(content, dtype=np.uint8) if content is not None else np.empty(0, dtype=np.uint8)
        start, size = bounds[:-1], np.diff(bounds)
        for place in (start, start + np.maximum(size - END, 0)):
            key = key * ODD + _eight_bytes(text, place, np.minimum(size, END))
        key = key * ODD + size.astype(np.uint64)
    return key


def _eight_bytes(text: np.ndarray, place: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Up to eight bytes from each place on as numbers: uint64 (J,)."""
    number = np.zeros(len(place), dtype=np.uint64)
    for byte in range(END):
        inside = np.flatnonzero(size > byte)
        number[inside] |= text[place[inside] + byte].astype(np.uint64) << np.uint64(8 * byte)
    return number
