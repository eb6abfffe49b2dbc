"""Lines read by pyarrow, all at once, where it certainly gives what the readers of records do; nothing where not.

What both might read differently is left to records: zero bytes, carriage returns inside lines, byte-order marks, marks
inside fields that no quotes wrap, blank lines, wrong UTF-8, JSON that is not one object a line.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipelines.tasks.readers.feed import row_ends
from pipelines.tasks.readers.jsonl_types import EXACT, LONG

if TYPE_CHECKING:
    from collections.abc import Sequence

_QUOTE, _FEED, _RETURN = b'"'[0], b"\n"[0], b"\r"[0]
_BLANK = frozenset((b"\n", b"\r\n", b"\r", b""))
_SCALARS = (pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.null())
_LONG_NUMBER = re.compile(rb"[0-9]{4300}")  # Python reads no integer that is longer


def csv_rows(
    lines: list[bytes], names: Sequence[str], delimiter: str, quoted: bool, wanted: Sequence[str]
) -> pa.RecordBatch | None:
    """Some columns of rows of CSV, or of tab-separated ones with or without quoting, as text.

    Args:
        lines: Of whole rows.
        names: Of all their columns, each another.
        delimiter: What separates their fields.
        quoted: Whether fields may be wrapped in quotation marks.
        wanted: Names of the columns to read.

    Returns:
        The rows; None where they must be read as records.
    """
    from pyarrow import csv

    block = b"".join(lines)
    if not _is_plain(block) or (quoted and not _is_well_quoted(block, delimiter)):
        return None
    try:
        table = csv.read_csv(
            pa.BufferReader(block),
            csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=list(names)),
            csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted,
                ignore_empty_lines=False,
            ),
            csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=list(dict.fromkeys(wanted)),
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    begins = lines if table.num_rows == len(lines) else [lines[0], *(lines[end + 1] for end in row_ends(lines)[:-1])]
    return _only_batch(table, len(begins)) if _BLANK.isdisjoint(begins) else None


def _is_plain(block: bytes) -> bool:
    """Whether lines are UTF-8 and hold nothing that one reader may take for a line end or leave out."""
    if b"\0" in block or block.count(b"\r") != block.count(b"\r\n") or block.startswith(codecs.BOM_UTF8):
        return False
    try:
        return block.isascii() or block.decode() is not None
    except UnicodeDecodeError:
        return False


def _is_well_quoted(block: bytes, delimiter: str) -> bool:
    """Whether every quotation mark opens a field, closes one or is doubled in one."""
    if b'"' not in block:
        return True
    content = np.frombuffer(block, np.uint8)
    marks = np.flatnonzero(content == _QUOTE)
    if len(marks) % 2:
        return False
    opening, closing = marks[::2], marks[1::2]
    before = content[opening - 1]  # of a mark at the beginning the last byte: a line end or another mark
    after = content[(closing + 1) % len(content)]
    limits = [_QUOTE, _FEED, ord(delimiter)]
    opens = np.isin(before, limits) | (opening == 0)
    return bool(opens.all() and (np.isin(after, [*limits, _RETURN]) | (closing == len(content) - 1)).all())


def json_rows(lines: list[bytes], schema: pa.Schema | None, text: Sequence[str] = ()) -> pa.RecordBatch | None:
    """Rows of JSON lines without nested values.

    Args:
        lines: The lines.
        schema: Their columns; None: they are found, and text that looks like times is read as such.
        text: Columns that must have text in every row.

    Returns:
        The rows; None where they must be read as records.
    """
    from pyarrow import json

    block = b"".join(lines)
    objects = block.count(b"}\n{") + block.count(b"}\r\n{") + 1  # a line begins and ends at the outermost level
    if objects != len(lines) or not block.startswith(b"{") or not block.rstrip(b"\r\n").endswith(b"}"):
        return None
    if not _is_plain(block) or (max(map(len, lines)) > 4300 and _LONG_NUMBER.search(block)):
        return None
    try:
        table = json.read_json(
            pa.BufferReader(block),
            json.ReadOptions(use_threads=False, block_size=len(block) + 1),
            json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer" if schema is None else "error"),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    faulty = any(table.column(name).null_count for name in text)
    floats = (column for column in table.columns if pa.types.is_floating(column.type))
    return None if faulty or not all(map(_is_exact, floats)) else _only_batch(table, len(lines))


def json_types(batch: pa.RecordBatch) -> dict[str, pa.DataType] | None:
    """The types that `jsonl_types.type_of` finds in the columns; None where values are nested."""
    types = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        kind = pa.string() if pa.types.is_timestamp(column.type) else column.type
        if kind not in _SCALARS:
            return None
        if kind == pa.int64() and column.null_count < len(column):
            numbers = np.asarray(column.drop_null())
            kind = kind if numbers.min() >= -EXACT and numbers.max() <= EXACT else LONG
        types[name] = kind
    return types


def is_scalar(kind: pa.DataType) -> bool:
    """Whether columns of that type of JSON lines can be read at once."""
    return kind in _SCALARS


def _is_exact(floats: pa.ChunkedArray) -> bool:
    """Whether numbers that may have been written as integers, whose kind is lost, are certainly the same as floats."""
    values = np.asarray(floats.drop_null())
    return bool((np.abs(values) < EXACT).all() and not np.signbit(values[values == 0]).any())


def _only_batch(table: pa.Table, rows: int) -> pa.RecordBatch | None:
    batches = table.combine_chunks().to_batches()
    return batches[0] if len(batches) == 1 and table.num_rows == rows else None
