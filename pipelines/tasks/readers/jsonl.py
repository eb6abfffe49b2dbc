"""JSON lines: one object a line; nested values are kept."""

from __future__ import annotations

import json
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.jsonl_types import joined_columns
from pipelines.tasks.readers.lines import Fault, text_lines
from pipelines.tasks.rows import RowSource
from pipelines.tasks.task import TEXT_SHOWN, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipelines.tasks.readers.lines import Record


def jsonl_source(path: Path, name: str, text: tuple[str, ...]) -> RowSource:
    """A file of JSON lines; all its rows are read once for the types of its columns.

    Args:
        path: The file.
        name: Its name inside the data folder.
        text: Its columns of text.

    Raises:
        UserError: If the file cannot be read or has no object.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise UserError(f"{path}: expected a readable file; {error.strerror or error}.") from error
    types = dict(_column_types(path, state.st_size, state.st_mtime_ns))
    # A list stays one, for the message that it is no text.
    types |= {column: pa.string() for column in text if column in types and not pa.types.is_list(types[column])}
    schema = pa.schema(list(types.items()))
    return RowSource(path, name, schema, partial(_records, path, tuple(types), text), may_lack=True)


@lru_cache(maxsize=64)  # a task is opened several times in one command
def _column_types(path: Path, _size: int, _changed: int) -> tuple[tuple[str, pa.DataType], ...]:
    return tuple(joined_columns(_objects(path)).items())


def _objects(path: Path) -> Iterator[dict[str, object]]:
    found, first_fault = False, None
    for number, _, text in text_lines(path, blank_rows=False):
        parsed = text if isinstance(text, Fault) else _parsed(number, text)
        if isinstance(parsed, Fault):
            first_fault = first_fault or parsed
        else:
            found = True
            yield parsed
    if not found:
        fault = f" Line {first_fault.line}: {first_fault.error}." if first_fault else ""
        raise UserError(f"{path}: expected one JSON object a line, found none.{fault}")


def _records(path: Path, names: tuple[str, ...], text: tuple[str, ...]) -> Iterator[Record | Fault]:
    for number, size, line in text_lines(path, blank_rows=False):
        parsed = line if isinstance(line, Fault) else _parsed(number, line)
        if isinstance(parsed, Fault):
            yield parsed
            continue
        head = str(line)[:TEXT_SHOWN]
        wrong = next((column for column in text if type(parsed.get(column)) is not str), None)
        if wrong is not None:
            yield Fault(number, f"expected text, found {_found(parsed, wrong)}", head, wrong)
        else:
            yield number, size, [parsed.get(column) for column in names], head


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
