"""Parquet files as this project writes and reads them: zstd, bounded row groups, ranges of rows."""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipelines.run_folder.storage import Storage

ROW_GROUP_ROWS = 16_384
WRITE_BYTES = 1 << 20


class RowReader:
    """Reads ranges of rows of a Parquet file, row group by row group.

    Args:
        storage: the run directory.
        name: the file.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._file = pq.ParquetFile(storage.open_input(name))
        metadata = self._file.metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return int(self._bounds[-1])

    @property
    def schema(self) -> pa.Schema:
        """Its columns, with their metadata."""
        return self._file.schema_arrow

    def range(self, first: int, last: int, columns: list[str] | None = None) -> pa.Table:
        """Rows from `first` up to, not including, `last`."""
        return self.take(np.arange(first, last), columns)

    def pieces(self, first: int, last: int) -> Iterator[pa.Table]:
        """The same rows, one row group's at a time."""
        while first < last:
            group = int(np.searchsorted(self._bounds, first, side="right")) - 1
            end = min(int(self._bounds[group + 1]), last)
            start = int(self._bounds[group])
            yield self._file.read_row_group(group).slice(first - start, end - first)
            first = end

    def take(self, rows: np.ndarray, columns: list[str] | None = None) -> pa.Table:
        """Rows by ascending number; only the row groups that hold them are read.

        Args:
            rows: int64 (R,).
            columns: names; None for all.
        """
        groups, of_row = np.unique(np.searchsorted(self._bounds, rows, side="right") - 1, return_inverse=True)
        table = self._file.read_row_groups(groups.tolist(), columns=columns)
        sizes = self._bounds[groups + 1] - self._bounds[groups]
        before = np.cumsum(sizes) - sizes - self._bounds[groups]
        return table if len(rows) == table.num_rows else table.take(pa.array(rows + before[of_row]))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def open_writer(sink: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer with this project's settings; the same rows in the same calls give the same bytes."""
    return pq.ParquetWriter(sink, schema, compression="zstd", compression_level=3)


@contextmanager
def open_thread_writer(sink: Any, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """The same for a thread beside others: each of the many small writes into a file of Python's would wait for them.

    The sink is closed at the end.
    """
    raw = sink if isinstance(sink, pa.NativeFile) else pa.PythonFile(sink, "w")
    with pa.BufferedOutputStream(raw, WRITE_BYTES) as stream, open_writer(stream, schema) as writer:
        yield writer


@dataclass(frozen=True)
class Written:
    """A Parquet file that was written.

    Args:
        rows: rows in it.
        bytes: its size.
        sha256: of its bytes, hexadecimal.
    """

    rows: int
    bytes: int
    sha256: str


def write_tables(storage: Storage, name: str, tables: Iterable[pa.Table]) -> Written:
    """Writes a Parquet file from tables as they come; the file appears once the last one is written.

    Args:
        storage: the run directory.
        name: of the file.
        tables: one or more, all of one schema; each begins a row group.

    Raises:
        JobError: the file cannot be written.
    """
    rows, tables = 0, iter(tables)
    first = next(tables)
    with storage.writing(name) as raw:
        sink = _HashingSink(raw)
        with open_writer(sink, first.schema) as writer:
            for table in chain([first], tables):
                writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
                rows += table.num_rows
    return Written(rows, sink.bytes, sink.digest.hexdigest())


class _HashingSink(io.RawIOBase):
    """Passes bytes on, counting and hashing them, so that a file need not be read again for its record."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self.bytes, self.digest = 0, hashlib.sha256()

    def write(self, content: Any) -> int:
        self.digest.update(content)
        self.bytes += len(content)
        self._sink.write(content)
        return len(content)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.bytes
