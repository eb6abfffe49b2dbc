"""Parquet files as this project writes and reads them: zstd, bounded row groups, ranges of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.run_folder.storage import Storage

ROW_GROUP_ROWS = 16_384


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
        groups = np.unique(np.searchsorted(self._bounds, rows, side="right") - 1)
        table = self._file.read_row_groups(groups.tolist(), columns=columns)
        sizes = self._bounds[groups + 1] - self._bounds[groups]
        starts = np.cumsum(sizes) - sizes
        group = np.searchsorted(groups, np.searchsorted(self._bounds, rows, side="right") - 1)
        place = starts[group] + rows - self._bounds[groups[group]] if len(rows) else rows
        if len(place) == table.num_rows:
            return table
        return table.take(pa.array(place))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def open_writer(sink: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer with this project's settings; the same rows in the same calls give the same bytes."""
    return pq.ParquetWriter(sink, schema, compression="zstd", compression_level=3)


class CountingSink:
    """Passes bytes on, counting and hashing them, so that a file need not be read again for its record.

    Args:
        sink: where the bytes go.
    """

    def __init__(self, sink: Any) -> None:
        import hashlib

        self._sink = sink
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.closed = False

    def write(self, content: Any) -> int:
        """Writes bytes; pyarrow calls this."""
        self._digest.update(content)
        self.bytes += len(content)
        self._sink.write(content)
        return len(content)

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The sink below is closed by whoever opened it."""
        self.closed = True

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def readable(self) -> bool:
        """It cannot be read."""
        return False

    def seekable(self) -> bool:
        """It cannot be rewound."""
        return False

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of what was written."""
        return self._digest.hexdigest()
