"""Tab-separated files with quoting off: GLUE's own layout, and custom `.tsv` files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.lines import Fault, Record, decoded, physical_lines, text_lines
from pipelines.tasks.rows import RowSource
from pipelines.tasks.task import TEXT_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def tsv_source(path: Path, name: str, header: tuple[str, ...] | None = None) -> RowSource:
    """A TSV file.

    Args:
        path: The file.
        name: Its name inside the data folder.
        header: Its columns, where the file has no header line; None: they are read from the first line.

    Raises:
        UserError: If the file cannot be read or has no header.
    """
    columns = first_row(path) if header is None else header
    schema = pa.schema([(column, pa.string()) for column in columns])
    return RowSource(path, name, schema, partial(_records, path, len(columns), header is None))


def first_row(path: Path) -> tuple[str, ...]:
    """The fields of the first line.

    Raises:
        UserError: If the file is empty, or its first line cannot be read.
    """
    number, data = next(physical_lines(path), (1, b""))
    if not data.strip():
        raise UserError(f"{path}: expected a header line and rows, found {'a blank line' if data else 'no bytes'}.")
    text = decoded(number, data)
    if isinstance(text, Fault):
        raise UserError(f"{path}, line 1: {text.error}. The header must be readable.")
    return tuple(text.split("\t"))


def _records(path: Path, width: int, has_header: bool) -> Iterator[Record | Fault]:
    # With a single column a blank line is a row whose text is empty.
    for number, size, text in text_lines(path, blank_rows=width == 1):
        if number == 1 and has_header:
            continue
        if isinstance(text, Fault):
            yield text
            continue
        values = text.split("\t")
        if len(values) == width:
            yield number, size, values, text[:TEXT_SHOWN]
        else:
            found = f"found {len(values)}" if text else "found a blank line"
            yield Fault(number, f"expected {width} tab-separated fields, {found}", text[:TEXT_SHOWN])
