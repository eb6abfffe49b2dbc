"""Records of line-based formats (CSV, TSV, JSON lines) in chunks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipelines.tasks.readers.lines import Fault, Lines, Record
from pipelines.tasks.readers.source import BATCH_BYTES, Chunk, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    Records = Callable[[Lines], Iterator[Record | Fault]]


def record_source(path: Path, name: str, schema: pa.Schema, records: Records, may_lack: bool = False) -> Source:
    """A file of a line-based format.

    Args:
        path: The file.
        name: Its name inside the data folder.
        schema: Its columns, in the order of the records' values.
        records: Makes records of its lines.
        may_lack: Whether other files of the part may have more columns.
    """
    return Source(path, name, str(path), schema, partial(_chunks, path, schema.names, records), may_lack=may_lack)


def _chunk(header: list[str], rows: list[Record | Fault], done: float) -> Chunk:
    records = [row for row in rows if isinstance(row, Record)]
    good = [position for position, row in enumerate(rows) if isinstance(row, Record)]
    faults = {position: row for position, row in enumerate(rows) if isinstance(row, Fault)}

    def values(column: str) -> list[object]:
        if column not in header:  # JSON lines of one part may lack a column that others have
            return [None] * len(records)
        place = header.index(column)
        return [record.values[place] for record in records]

    return Chunk(len(rows), done, good, faults, values, lambda row, _: (records[row].line, records[row].head))


def _chunks(path: Path, header: list[str], records: Records, rows: int, _: list[str] | None) -> Iterator[Chunk]:
    lines = Lines(path)
    taken: list[Record | Fault] = []
    size, total = 0, 0
    for record in records(lines):
        taken.append(record)
        size += record.size if isinstance(record, Record) else 0
        if len(taken) >= rows or size >= BATCH_BYTES:
            total = total or max(1, path.stat().st_size)
            yield _chunk(header, taken, lines.done / total)
            taken, size = [], 0
    if taken:
        yield _chunk(header, taken, 1.0)
