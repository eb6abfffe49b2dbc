"""Parquet files, a bounded number of rows at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.columnar import decoded_array, is_text, plain_type, task_batch
from pipelines.tasks.source import BATCH_BYTES, Request, file_digest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    import pyarrow.parquet as pq


@dataclass(frozen=True)
class ParquetSource:
    """A Parquet file.

    Attributes:
        path: The file.
        name: Its name inside the data folder.
        schema: Its columns, dictionaries decoded.
        rows: Its rows, from its footer.
        class_names: Names of classes by column, where `datasets` stored them.
    """

    path: Path
    name: str
    schema: pa.Schema
    rows: int
    class_names: dict[str, tuple[str, ...]]

    @property
    def place(self) -> str:
        """The path as the user gave it."""
        return str(self.path)

    def digest(self) -> tuple[int, str]:
        """Size in bytes and sha256."""
        return file_digest(self.path)

    def values(self, column: str) -> Iterator[object]:
        """The distinct values of each batch of one column."""
        for batch in self._batches(None, [column]):
            array = decoded_array(batch.column(0))
            values = array if pa.types.is_nested(array.type) else array.unique()
            if not is_text(array.type):
                yield from values.to_pylist()
                continue
            binary = values.cast(pa.binary() if pa.types.is_string(array.type) else pa.large_binary())
            yield from (None if data is None else data.decode("utf-8", "replace") for data in binary.to_pylist())

    def read(self, request: Request) -> Generator[pa.RecordBatch, None, int]:
        """Yields batches of the good rows and reports the bad; returns the number of both."""
        done = 0
        for batch in self._batches(request.rows, None):
            if request.limit is not None:
                batch = batch.slice(0, max(0, request.limit - done))
            if batch.num_rows:
                result = task_batch(batch, request.start + done, self.place, request)
                done += batch.num_rows
                if result.num_rows:
                    yield result
            if done == request.limit:
                break
        return done

    def _batches(self, rows: int | None, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        """Record batches of at most about BATCH_BYTES, with one row group's pages read as they are needed."""
        file = open_parquet(self.path)
        footer = file.metadata
        size = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
        most = max(1, BATCH_BYTES * max(1, self.rows) // max(1, size))
        try:
            with file:
                yield from file.iter_batches(min(rows or most, most, 65_536), columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{self.path}: expected a whole Parquet file, found damage: {error}") from error


def parquet_source(path: Path, name: str) -> ParquetSource:
    """A Parquet file.

    Raises:
        UserError: If it cannot be read or is no Parquet file.
    """
    with open_parquet(path) as file:
        found = file.schema_arrow
        rows = file.metadata.num_rows
    schema = pa.schema([(field.name, plain_type(field.type)) for field in found])
    return ParquetSource(path, name, schema, rows, stored_class_names(found))


def open_parquet(path: Path) -> pq.ParquetFile:
    """Opens a Parquet file for reading with small buffers.

    Raises:
        UserError: If it cannot be read or is no Parquet file.
    """
    # Imported here: it takes longer than all the rest of the package, and few jobs read Parquet.
    import pyarrow.parquet as pq

    try:
        # Without a buffer size, and with pre-buffering, whole column chunks of a row group would be read.
        return pq.ParquetFile(str(path), buffer_size=1 << 20, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: expected a Parquet file; {error}; copy or write it again") from error


def stored_class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Class names by column, as `datasets` keeps them in a file's metadata; empty where there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: tuple(feature["names"])
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
