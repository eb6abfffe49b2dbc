"""CSV files with real quoting and fields over several lines; tab-separated files with it or, as GLUE's, without."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.by_columns import csv_rows
from pipelines.tasks.readers.feed import Format
from pipelines.tasks.readers.lines import MAX_LINE, Fault, Lines, Record, decoded, text_rows, without_blank_end
from pipelines.tasks.readers.records import record_source
from pipelines.tasks.task import CONVERT, NO_UTF8, TEXT_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pipelines.tasks.readers.source import Source


def delimited_source(
    path: Path, name: str, delimiter: str = ",", quoted: bool = True, header: tuple[str, ...] = ()
) -> Source:
    """A CSV or TSV file; all its columns are text.

    Args:
        path: The file.
        name: Its name inside the data folder.
        delimiter: What separates its fields.
        quoted: Whether fields may be wrapped in quotation marks.
        header: Its columns, where the file has no header line.

    Raises:
        UserError: If the file cannot be read, is empty or has no readable header.
    """
    columns = header or first_row(path, delimiter, quoted)
    schema = pa.schema([(column, pa.string()) for column in columns])
    split = partial(_split, delimiter=delimiter, quoted=quoted)
    form = partial(_format, tuple(columns), delimiter, quoted)
    return record_source(path, name, schema, form, header=None if header else split)


def _format(names: tuple[str, ...], delimiter: str, quoted: bool, wanted: list[str] | None) -> Format:
    form = Format(partial(_records, delimiter=delimiter, quoted=quoted, width=len(names)), quoted=quoted)
    if len(set(names)) < len(names):
        return form
    by_columns = partial(csv_rows, names=names, delimiter=delimiter, quoted=quoted, wanted=wanted or names)
    return replace(form, by_columns=by_columns)


def first_row(path: Path, delimiter: str, quoted: bool) -> tuple[str, ...]:
    """The fields of the first line.

    Raises:
        UserError: If the file is empty, or its first line cannot be read.
    """
    first = next(_split(Lines(path), delimiter, quoted), None)
    if isinstance(first, Fault):
        convert = f"; {CONVERT}" if first.error.startswith(NO_UTF8) else ""
        raise UserError(f"{path}, line {first.line}: {first.error}. The header must be readable{convert}.")
    if first is None or not first.head.strip():
        found = "no bytes" if first is None else "a blank line"
        raise UserError(f"{path}: expected a header line and rows, found {found}.")
    return tuple(map(str, first.values))


def _records(lines: Iterable[tuple[int, bytes]], delimiter: str, quoted: bool, width: int) -> Iterator[Record | Fault]:
    rows = _split(lines, delimiter, quoted)
    separated = "comma-separated" if delimiter == "," else "tab-separated"
    # Without quoting, a blank line of a single column is a row whose text is empty, even at the end.
    for row in rows if width == 1 and not quoted else without_blank_end(rows):
        if isinstance(row, Fault) or len(row.values) == width:
            yield row
        elif width == 1 and not row.values:
            yield row._replace(values=("",))
        else:
            found = str(len(row.values)) if any(row.values) else "a blank line"
            yield Fault(row.line, f"expected {width} {separated} fields, found {found}", row.head)


def _split(lines: Iterable[tuple[int, bytes]], delimiter: str, quoted: bool) -> Iterator[Record | Fault]:
    """All rows, the header included; a blank line is a record without values."""
    if quoted:
        return _quoted_rows(lines, delimiter)
    return map(partial(_split_row, delimiter), text_rows(lines))


def _split_row(delimiter: str, row: Record | Fault) -> Record | Fault:
    if isinstance(row, Fault) or not row.values:
        return row
    return Record(row.line, row.size, str(row.values[0]).split(delimiter), row.head)


def _quoted_rows(lines: Iterable[tuple[int, bytes]], delimiter: str) -> Iterator[Record | Fault]:
    for values, taken in csv_records(lines, delimiter):
        line, first = taken[0]
        head = first.decode("utf-8", "replace").rstrip("\r\n")[:TEXT_SHOWN]
        faults = (found for number, data in taken if isinstance(found := decoded(number, data), Fault))
        if isinstance(values, csv.Error):
            unclosed = len(taken) > 1 or "end of data" in str(values)
            hint = "; the quoted field may lack its closing quote" if unclosed else ""
            yield Fault(line, f"expected a CSV row, found a fault: {values}{hint}", head)
        elif fault := next(faults, None):
            yield Fault(line, f"{fault.error} (line {fault.line})", head)
        else:
            yield Record(line, sum(len(data) for _, data in taken), values, head)


def csv_records(
    lines: Iterable[tuple[int, bytes]], delimiter: str, marked: bool = False
) -> Iterator[tuple[list[str] | csv.Error, list[tuple[int, bytes]]]]:
    """Records as the csv module reads them, or what it has against them; each with its lines.

    Args:
        lines: Their numbers and bytes.
        delimiter: What separates fields.
        marked: Pass over records without quotation marks.
    """
    # The limit is the process's own and 131,072 characters by default; it also ends an unclosed quote.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
    taken: list[tuple[int, bytes]] = []

    def texts() -> Iterator[str]:
        for number, data in lines:
            if marked and not taken and b'"' not in data:
                continue
            taken.append((number, data))
            yield data.decode("utf-8", "replace")

    reader = csv.reader(texts(), delimiter=delimiter, strict=True)
    while True:
        taken.clear()
        values: list[str] | csv.Error
        try:
            values = next(reader, [])
        except csv.Error as error:
            values = error
        if not taken:
            return
        yield values, list(taken)
