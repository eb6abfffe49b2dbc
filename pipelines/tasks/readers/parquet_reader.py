"""Parquet and Arrow files, a bounded number of rows at a time."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.columnar import arrow_chunk, plain_type
from pipelines.tasks.readers.source import BATCH_BYTES, Chunk, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow.parquet as pq


ARROW_MAGIC = b"ARROW1"
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream


def parquet_source(path: Path, name: str, place: str | None = None) -> Source:
    """A Parquet file.

    Args:
        path: The file.
        name: Its name inside the data folder.
        place: Its name in messages; None for the path.

    Raises:
        UserError: If it cannot be read or is no Parquet file.
    """
    with open_parquet(path) as file:
        found, rows = file.schema_arrow, file.metadata.num_rows
    chunks = partial(_parquet_chunks, path)
    return Source(
        path, name, place or str(path), plain_schema(found), chunks, rows, class_names=stored_class_names(found)
    )


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


def _parquet_chunks(path: Path, rows: int, columns: list[str] | None, every: int = 1) -> Iterator[Chunk]:
    """Chunks of at most about BATCH_BYTES, with one row group's pages read as they are needed."""
    file, done = open_parquet(path), 0
    footer = file.metadata
    size = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
    most = min(rows, max(1, BATCH_BYTES * max(1, footer.num_rows) // max(1, size)))
    try:
        with file:
            for batch in _sample(file, most, columns, every) if every > 1 else file.iter_batches(most, columns=columns):
                done += batch.num_rows
                yield arrow_chunk(batch, done / footer.num_rows, float(every))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: expected a whole Parquet file, found damage: {error}; copy it again") from error


def _sample(file: pq.ParquetFile, most: int, columns: list[str] | None, every: int) -> Iterator[pa.RecordBatch]:
    """The first rows of each row group, one of so many of its rows."""
    for group in range(file.metadata.num_row_groups):
        left = -(-file.metadata.row_group(group).num_rows // every)
        for batch in file.iter_batches(min(most, max(1, left)), row_groups=[group], columns=columns):
            yield batch.slice(0, left)
            left -= batch.num_rows
            if left <= 0:
                break


def arrow_source(path: Path, name: str) -> Source:
    """An Arrow stream (`datasets.Dataset.save_to_disk`) or Arrow file (Feather), memory-mapped.

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
    chunks = partial(_arrow_chunks, path)
    return Source(path, name, str(path), plain_schema(found), chunks, class_names=stored_class_names(found))


def _arrow_reader(path: Path) -> pa.RecordBatchStreamReader | pa.RecordBatchFileReader:
    file = pa.memory_map(str(path))
    begins = file.read(len(ARROW_MAGIC))
    file.seek(0)
    return pa.ipc.open_file(file) if begins == ARROW_MAGIC else pa.ipc.open_stream(file)


def _arrow_chunks(path: Path, rows: int, columns: list[str] | None, every: int = 1) -> Iterator[Chunk]:
    try:
        reader = _arrow_reader(path)
        is_file = isinstance(reader, pa.RecordBatchFileReader)
        for batch in map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader:
            part = (batch if columns is None else batch.select(columns)).slice(0, -(-batch.num_rows // every))
            most = min(rows, max(1, BATCH_BYTES * batch.num_rows // max(1, batch.nbytes)))
            # The share that was read is known at the end alone, but nobody asks for it: no corpus is Arrow.
            for start in range(0, part.num_rows, most):
                yield arrow_chunk(part.slice(start, most), 1.0, float(every))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: expected a whole Arrow file, found damage: {error}; copy it again") from error


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The columns with dictionaries decoded and extensions replaced by what they store, without metadata."""
    return pa.schema([(field.name, plain_type(field.type)) for field in schema])


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
