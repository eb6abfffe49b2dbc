"""Parquet and Arrow files, a bounded number of rows at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.columnar import decoded_array, plain_type, python_values, task_batch
from pipelines.tasks.readers.source import BATCH_BYTES, Request, file_digest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    import pyarrow.parquet as pq


ARROW_MAGIC = b"ARROW1"
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream


@dataclass(frozen=True)
class ParquetSource:
    """A Parquet file.

    Attributes:
        path: The file.
        name: Its name inside the data folder.
        schema: Its columns, dictionaries decoded.
        rows: Its rows, from its footer; None where the format has none.
        class_names: Names of classes by column, where `datasets` stored them.
    """

    path: Path
    name: str
    schema: pa.Schema
    rows: int | None
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
            yield from python_values(array if pa.types.is_nested(array.type) else array.unique())

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
        most = max(1, BATCH_BYTES * max(1, footer.num_rows) // max(1, size))
        try:
            with file:
                yield from file.iter_batches(min(rows or most, most, 65_536), columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{self.path}: expected a whole Parquet file, found damage: {error}") from error


@dataclass(frozen=True)
class ArrowSource(ParquetSource):
    """An Arrow stream (`datasets.Dataset.save_to_disk`) or Arrow file (Feather), memory-mapped."""

    def _batches(self, rows: int | None, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        try:
            for batch in _arrow_batches(self.path):
                part = batch if columns is None else batch.select(columns)
                most = min(rows or 65_536, max(1, BATCH_BYTES * batch.num_rows // max(1, batch.nbytes)))
                yield from (part.slice(start, most) for start in range(0, batch.num_rows, most))
        except (pa.ArrowException, OSError) as error:
            raise UserError(
                f"{self.path}: expected a whole Arrow file, found damage: {error}; copy it again"
            ) from error


def arrow_source(path: Path, name: str) -> ArrowSource:
    """An Arrow stream or file.

    Raises:
        UserError: If it cannot be read, is no Arrow file or was cut off.
    """
    try:
        found = _arrow_reader(path).schema
        with path.open("rb") as file:
            file.seek(-len(_END), 2)
            end = file.read()
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: expected an Arrow file; {error}; copy or write it again") from error
    if not end.endswith((_END, ARROW_MAGIC)):  # a reader of streams takes one that was cut off for a shorter one
        raise UserError(f"{path}: expected a whole Arrow file, found one without its end; copy or write it again")
    return ArrowSource(path, name, plain_schema(found), None, stored_class_names(found))


def _arrow_reader(path: Path) -> pa.RecordBatchStreamReader | pa.RecordBatchFileReader:
    file = pa.memory_map(str(path))
    begins = file.read(len(ARROW_MAGIC))
    file.seek(0)
    return pa.ipc.open_file(file) if begins == ARROW_MAGIC else pa.ipc.open_stream(file)


def _arrow_batches(path: Path) -> Iterator[pa.RecordBatch]:
    reader = _arrow_reader(path)
    if isinstance(reader, pa.RecordBatchFileReader):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The columns with dictionaries decoded and extensions replaced by what they store, without metadata."""
    return pa.schema([(field.name, plain_type(field.type)) for field in schema])


def parquet_source(path: Path, name: str) -> ParquetSource:
    """A Parquet file.

    Raises:
        UserError: If it cannot be read or is no Parquet file.
    """
    with open_parquet(path) as file:
        found = file.schema_arrow
        rows = file.metadata.num_rows
    return ParquetSource(path, name, plain_schema(found), rows, stored_class_names(found))


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
