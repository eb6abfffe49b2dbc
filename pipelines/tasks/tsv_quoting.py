"""Whether a tab-separated file quotes its fields as CSV writers do, such as pandas' `to_csv`, or not at all.

Such a writer wraps a field with a tab, a line end or a quotation mark inside, and doubles the marks; so a field in
quotation marks with none inside proves nothing, unless the header's is wrapped, too. A mark that opens a field and is
closed nowhere, or in a later row, is text of a file without quoting.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.tasks.csv_reader import csv_source, split_rows
from pipelines.tasks.lines import Fault, physical_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipelines.tasks.lines import Record
    from pipelines.tasks.rows import RowSource

_OPENED = re.compile(rb'(?:^|\t)"')


@dataclass
class _Lines:
    """Rows of one kind: the line of the first, and their number."""

    first: int = 0
    number: int = 0

    def add(self, line: int) -> None:
        self.first = self.first or line
        self.number += 1


def quoted_source(path: Path, name: str) -> RowSource | None:
    """A TSV file that quotes its fields; None where it does not.

    Args:
        path: The file.
        name: Its name inside the data folder.

    Raises:
        UserError: If it cannot be read, or rows of either kind are in it.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise UserError(f"{path}: expected a readable file; {error.strerror or error}.") from error
    if not _is_quoted(path, state.st_size, state.st_mtime_ns):
        return None
    note = f"{name}: read with the quoting of CSV, for it has fields in quotation marks with the marks inside doubled"
    return replace(csv_source(path, name, "\t"), note=note)


@lru_cache(maxsize=64)  # a task is opened several times in one command
def _is_quoted(path: Path, _size: int, _changed: int) -> bool:
    if not any(_OPENED.search(data) for _, data in physical_lines(path)):
        return False
    quoted, plain = _Lines(), _Lines()
    header: list[str] = []
    for row, lines in _rows_and_lines(path):
        header = header or lines[0]
        said = _said(row, lines, header)
        if said is not None:
            (quoted if said else plain).add(row.line if isinstance(row, Fault) else row[0])
    if quoted.number and plain.number and quoted.number >= plain.number:
        raise UserError(
            f"{path}: expected all fields quoted as CSV writers do, or none, found line {quoted.first} with quotation "
            f"marks doubled inside others, and line {plain.first} with one that is not closed. Correct the row, or "
            "write the file again as .csv."
        )
    return bool(quoted.number) and not plain.number


def _rows_and_lines(path: Path) -> Iterator[tuple[Record | Fault, list[list[str]]]]:
    """The rows of a file as CSV, each with the fields of its lines as they stand between tabs."""
    lines = physical_lines(path)
    for row, following in pairwise(chain(split_rows(path, "\t"), [None])):
        if row is None:
            return
        start, stop = (None if at is None else at.line if isinstance(at, Fault) else at[0] for at in (row, following))
        count = None if stop is None or start is None else stop - start
        taken = [next(lines)[1] for _ in range(count)] if count is not None else [data for _, data in lines]
        yield row, [data.decode("utf-8", "replace").rstrip("\r\n").split("\t") for data in taken]


def _said(row: Record | Fault, lines: list[list[str]], header: list[str]) -> bool | None:
    """Whether a row speaks for quoting (True) or against it (False); None where it says nothing."""
    width = len(header)
    opened = [(column, field) for line in lines for column, field in enumerate(line) if field.startswith('"')]
    if not opened or any("\ufffd" in field for _, field in opened):
        return None
    if isinstance(row, Fault):
        return False
    values = [str(value) for value in row[2]]
    if len(lines) > 1 or len(lines[0]) != width:
        return len(values) == width and any(len(line) != width for line in lines)
    named = any(column < width and header[column].startswith('"') for column, _ in opened)
    return True if named or any('"' in value for value in values if value not in lines[0]) else None
