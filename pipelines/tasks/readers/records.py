"""Rows of line-based formats (CSV, TSV, JSON lines) in chunks."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from pipelines.tasks.readers.feed import Feed, Format, Lot, lots
from pipelines.tasks.readers.lines import Fault, Record
from pipelines.tasks.readers.source import Chunk, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from pipelines.tasks.readers.feed import Records

    FormatFor = Callable[[list[str] | None], Format]


def record_source(
    path: Path, name: str, schema: pa.Schema, form: FormatFor, header: Records | None = None, may_lack: bool = False
) -> Source:
    """A file of a line-based format.

    Args:
        path: The file.
        name: Its name inside the data folder.
        schema: Its columns, in the order of the records' values.
        form: How its lines become rows, given the columns that are wanted, or None for all.
        header: Reads its first row, which has the names of the columns; None where that is a row like the others.
        may_lack: Whether other files of the part may have more columns.
    """
    chunks = partial(_chunks, path, schema.names, form, header)
    return Source(path, name, str(path), schema, chunks, may_lack=may_lack)


def _chunks(
    path: Path,
    names: list[str],
    form: FormatFor,
    header: Records | None,
    rows: int,
    columns: list[str] | None,
    every: int = 1,
) -> Iterator[Chunk]:
    feed, total = Feed(path), max(1, path.stat().st_size)
    if header is not None:
        next(header(feed), None)
    for lot in lots(feed, form(columns), rows, every):
        done = feed.done / total
        if lot.batch is None:
            yield _chunk(names, lot, done)
        else:
            yield _chunk_by_columns(names, lot, lot.batch, done)


def _chunk_by_columns(names: list[str], lot: Lot, batch: pa.RecordBatch, done: float) -> Chunk:
    def values(column: str) -> Any:
        return batch.column(column) if column in names else [None] * batch.num_rows

    good, again = range(batch.num_rows), cache(partial(_chunk, names, lot, done))
    return Chunk(
        batch.num_rows, done, good, {}, values, lambda row, text: again().begin(row, text), again, lot.stands_for
    )


def _chunk(names: list[str], lot: Lot, done: float) -> Chunk:
    rows = lot.records()
    records = [row for row in rows if isinstance(row, Record)]
    good = [position for position, row in enumerate(rows) if isinstance(row, Record)]
    faults = {position: row for position, row in enumerate(rows) if isinstance(row, Fault)}

    def values(column: str) -> list[object]:
        if column not in names:  # JSON lines of one part may lack a column that others have
            return [None] * len(records)
        place = names.index(column)
        return [record.values[place] for record in records]

    def begin(row: int, _: str) -> tuple[int, str]:
        return records[row].line, records[row].head

    return Chunk(len(rows), done, good, faults, values, begin, stands_for=lot.stands_for)
