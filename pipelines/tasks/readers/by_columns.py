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

from pipelines.tasks.readers.jsonl_types import EXACT, LONG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.tasks.readers.feed import Block

_QUOTE, _FEED, _RETURN = b'"'[0], b"\n"[0], b"\r"[0]
_BLANK = (b"\n", b"\r\n", b"\r", b"")
_SCALARS = (pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.null())
_LONG_NUMBER = re.compile(rb"[0-9]{4300}")  # Python reads no integer that is longer


def csv_rows(
    lines: Block, names: Sequence[str], delimiter: str, quoted: bool, wanted: Sequence[str]
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

    block = lines.data
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
    begins, ends = lines.begins, lines.ends  # of the lines that rows begin with
    if table.num_rows < len(lines):
        first = np.append(0, lines.row_ends()[:-1] + 1)
        begins, ends = begins[first], ends[first]
    short = np.flatnonzero(ends - begins <= 2).tolist()
    is_any_blank = any(block[begins[row] : ends[row]] in _BLANK for row in short)
    return None if is_any_blank else _only_batch(table, len(begins))


def _is_plain(block: bytes) -> bool:
    """Whether lines are UTF-8 and hold nothing that one reader may take for a line end or leave out."""
    if b"\0" in block or block.startswith(codecs.BOM_UTF8):
        return False
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
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


def json_rows(lines: Block, schema: pa.Schema | None, text: Sequence[str] = ()) -> pa.RecordBatch | None:
    """Rows of JSON lines without nested values.

    Args:
        lines: The lines.
        schema: Their columns; None: they are found, and text that looks like times is read as such.
        text: Columns that must have text in every row.

    Returns:
        The rows; None where they must be read as records.
    """
    from pyarrow import json

    block = lines.data
    if not _is_an_object_each(lines) or not _is_plain(block):
        return None
    if (lines.ends - lines.begins).max() > 4300 and _LONG_NUMBER.search(block):
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


def _is_an_object_each(lines: Block) -> bool:
    """Whether every line begins and ends at the outermost level, as far as its first and last bytes tell."""
    if not lines.data.startswith(b"{") or not lines.data[-3:].rstrip(b"\r\n").endswith(b"}"):
        return False
    content, ends = np.frombuffer(lines.data, np.uint8), lines.ends[:-1]
    last = content[ends - 2]
    last = np.where(last == _RETURN, content[ends - 3], last)
    return bool((last == ord("}")).all() and (content[ends] == ord("{")).all())


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
