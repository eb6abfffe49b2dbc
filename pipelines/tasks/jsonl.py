"""JSON lines: one object a line; nested values are kept."""

from __future__ import annotations

import json
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.jsonl_types import fits, joined_columns
from pipelines.tasks.lines import Fault, text_lines
from pipelines.tasks.rows import RowSource
from pipelines.tasks.task import TEXT_SHOWN, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipelines.tasks.lines import Record

FIRST_ROWS = 10_000
FIRST_BYTES = 8 * 1024 * 1024
"""The block that columns and types are found from ends at the first of the two."""


def jsonl_source(path: Path, name: str, text: tuple[str, ...], label: str | None) -> RowSource:
    """A file of JSON lines; `text` and `label` are the columns that are not typed by the first block.

    Raises:
        UserError: If the file cannot be read or its first block has no object.
    """
    types = joined_columns(_first_objects(path))
    types |= {column: pa.string() for column in text if column in types}
    schema = pa.schema(list(types.items()))
    return RowSource(path, name, schema, partial(_records, path, schema, frozenset(text), label))


def _first_objects(path: Path) -> Iterator[dict[str, object]]:
    size, found, first_fault = 0, False, None
    for number, length, text in islice(text_lines(path, blank_rows=False), FIRST_ROWS):
        parsed = text if isinstance(text, Fault) else _parsed(number, text)
        if isinstance(parsed, Fault):
            first_fault = first_fault or parsed
        else:
            found = True
            yield parsed
        size += length
        if size >= FIRST_BYTES:
            break
    if not found:
        fault = f" Line {first_fault.line}: {first_fault.error}." if first_fault else ""
        raise UserError(f"{path}: expected one JSON object a line, found none in the first lines.{fault}")


def _records(path: Path, schema: pa.Schema, text: frozenset[str], label: str | None) -> Iterator[Record | Fault]:
    types = {field.name: field.type for field in schema if field.name != label}
    for number, size, line in text_lines(path, blank_rows=False):
        parsed = line if isinstance(line, Fault) else _parsed(number, line)
        if isinstance(parsed, Fault):
            yield parsed
            continue
        problem, head = _problem(parsed, types, text, label), str(line)[:TEXT_SHOWN]
        if problem is not None:
            yield Fault(number, problem[1], head, problem[0])
        else:
            yield number, size, [parsed.get(column) for column in schema.names], head


def _problem(
    row: dict[str, object], types: dict[str, pa.DataType], text: frozenset[str], label: str | None
) -> tuple[str, str] | None:
    """The first column at fault and why; None where the row is good."""
    for column in text:
        if type(row.get(column)) is not str:
            return column, f"expected text, found {_found(row, column)}"
    for column, value in row.items():
        if column == label:
            continue
        if column not in types:
            return column, f"expected no column that the first {FIRST_ROWS:,} rows do not have, found one"
        if not fits(value, types[column]):
            return column, f"expected {types[column]} as in the rows before, found {_found(row, column)}"
    return None


def _found(row: dict[str, object], column: str) -> str:
    if column not in row:
        return "no such field"
    value = row[column]
    return "null" if value is None else f"{type(value).__name__} {shown(value)}"


def _parsed(number: int, text: str) -> dict[str, object] | Fault:
    try:
        value = json.loads(text)
        if "\\u" in text:
            # A lone surrogate escape is valid JSON but no text: it has no UTF-8.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return Fault(number, r"expected text, found half of a surrogate pair (\ud800 to \udfff)", text[:TEXT_SHOWN])
    except (ValueError, RecursionError) as error:
        return Fault(number, f"expected a JSON object, found broken JSON: {error}", text[:TEXT_SHOWN])
    if not isinstance(value, dict):
        return Fault(number, f"expected a JSON object, found {type(value).__name__}", text[:TEXT_SHOWN])
    return value
