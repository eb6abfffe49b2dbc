"""CSV files: real quoting, fields over several lines, a header line."""

from __future__ import annotations

import csv
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.lines import MAX_LINE, Fault, Record, decoded, physical_lines
from pipelines.tasks.rows import RowSource
from pipelines.tasks.task import TEXT_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def csv_source(path: Path, name: str, delimiter: str = ",") -> RowSource:
    """A CSV file; all its columns are text.

    Args:
        path: The file.
        name: Its name inside the data folder.
        delimiter: What separates its fields.

    Raises:
        UserError: If the file cannot be read, is empty or has no readable header.
    """
    first = next(split_rows(path, delimiter), None)
    if first is None or (not isinstance(first, Fault) and not first[2]):
        raise UserError(f"{path}: expected a header line and rows, found {'no bytes' if first is None else 'none'}.")
    if isinstance(first, Fault):
        raise UserError(f"{path}, line {first.line}: {first.error}. The header must be readable.")
    header = [str(column) for column in first[2]]
    schema = pa.schema([(column, pa.string()) for column in header])
    return RowSource(path, name, schema, partial(_records, path, delimiter, len(header)))


def _records(path: Path, delimiter: str, width: int) -> Iterator[Record | Fault]:
    """Rows after the header; blank lines at the end are none, others count as one empty field."""
    rows = split_rows(path, delimiter)
    next(rows, None)
    blank: tuple[int, int] | None = None
    for row in rows:
        line = row.line if isinstance(row, Fault) else row[0]
        if not isinstance(row, Fault) and not row[2]:
            blank = (line if blank is None else blank[0], line)
            continue
        if blank is not None:
            yield from (_checked((number, 1, [""], ""), width, delimiter) for number in range(blank[0], blank[1] + 1))
            blank = None
        yield row if isinstance(row, Fault) else _checked(row, width, delimiter)


def _checked(row: Record, width: int, delimiter: str) -> Record | Fault:
    line, _, values, head = row
    if len(values) == width:
        return row
    found = "a blank line" if list(values) == [""] else str(len(values))
    separated = "comma-separated" if delimiter == "," else "tab-separated"
    return Fault(line, f"expected {width} {separated} fields, found {found}", head)


def split_rows(path: Path, delimiter: str) -> Iterator[Record | Fault]:
    """All records, the header's included; a blank line is a record without values."""
    # The limit is the process's own and 131,072 characters by default; it also ends an unclosed quote.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
    feed = _Feed(path)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        feed.start_record()
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            unclosed = reader.line_num > line or "end of data" in str(error)
            hint = "; the quoted field may lack its closing quote" if unclosed else ""
            yield Fault(line, f"expected a CSV row, found a fault: {error}{hint}", feed.head)
            continue
        if feed.fault is not None:
            yield Fault(line, f"{feed.fault.error} (line {feed.fault.line})", feed.head)
        else:
            yield line, feed.size, values, feed.head


class _Feed:
    """Lines for the csv module, and what it does not tell of the record at hand: size and faulty bytes."""

    def __init__(self, path: Path) -> None:
        self._lines = physical_lines(path)
        self.start_record()

    def start_record(self) -> None:
        self.size = 0
        self.head = ""
        self.fault: Fault | None = None

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        number, data = next(self._lines)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("utf-8", "replace")
            self.fault = self._fault(number, data)
        if len(data) > MAX_LINE:
            self.fault = self._fault(number, data)
        self.head = self.head if self.size else text.rstrip("\r\n")[:TEXT_SHOWN]
        self.size += len(data)
        return text

    def _fault(self, number: int, data: bytes) -> Fault | None:
        found = decoded(number, data)
        return self.fault or (found if isinstance(found, Fault) else None)
