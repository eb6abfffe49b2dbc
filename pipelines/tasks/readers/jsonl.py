"""JSON lines: one object a line; nested values are kept."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.by_columns import is_scalar, json_rows, json_types
from pipelines.tasks.readers.feed import Feed, Format, lots
from pipelines.tasks.readers.jsonl_types import joined_columns, stored_columns, type_of
from pipelines.tasks.readers.lines import Fault, Record, text_rows, without_blank_end
from pipelines.tasks.readers.records import record_source
from pipelines.tasks.readers.source import ROWS
from pipelines.tasks.task import listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pipelines.tasks.readers.source import Source


def jsonl_source(path: Path, name: str, text: tuple[str, ...], every: int = 1) -> Source:
    """A file of JSON lines; all its rows are read once for the types of its columns.

    Args:
        path: The file.
        name: Its name inside the data folder.
        text: Its columns of text.
        every: One row of so many is read; 1: all.

    Raises:
        UserError: If the file cannot be read or has no object.
    """
    types = stored_columns(joined_columns(_types(path, every)))
    # A list stays one, for the message that it is no text.
    types |= {column: pa.string() for column in text if column in types and not pa.types.is_list(types[column])}
    schema = pa.schema(list(types.items()))
    form = Format(partial(_records, names=tuple(types), text=text))
    if all(map(is_scalar, types.values())) and set(text) <= types.keys():
        form = Format(form.records, partial(json_rows, schema=schema, text=text))
    return record_source(path, name, schema, lambda _: form, may_lack=True)


def text_source(path: Path, name: str, column: str) -> Source:
    """One column of text of JSON lines of any size, which are not read for their types.

    Blank lines are passed over; half of a surrogate pair, which is valid JSON but no text, becomes a question mark.

    Args:
        path: The file.
        name: Its name in its folder.
        column: The column.
    """
    records = partial(_records, names=(column,), text=(column,), strict=False)
    return record_source(path, name, pa.schema([(column, pa.string())]), lambda _: Format(records))


def _types(path: Path, every: int) -> Iterator[dict[str, pa.DataType]]:
    """The types of the keys of each object, or of all objects of a lot."""
    found, first_fault = False, None
    for lot in lots(Feed(path), Format(_rows, partial(json_rows, schema=None)), ROWS, every):
        if lot.batch is not None and (types := json_types(lot.batch)) is not None:
            found = True
            yield types
            continue
        for row in lot.records():
            if isinstance(row, Fault):
                first_fault = first_fault or row
            else:
                found = True
                parsed: Any = row.values[0]
                yield {key: type_of(value) for key, value in parsed.items()}
    if not found:
        fault = f" Line {first_fault.line}: {first_fault.error}." if first_fault else ""
        raise UserError(f"{path}: expected one JSON object a line, found none.{fault}")


def _records(
    lines: Iterable[tuple[int, bytes]], names: tuple[str, ...], text: tuple[str, ...], strict: bool = True
) -> Iterator[Record | Fault]:
    for row in _rows(lines, strict):
        if isinstance(row, Fault):
            yield row
            continue
        parsed: Any = row.values[0]
        wrong = next((column for column in text if type(parsed.get(column)) is not str), None)
        if wrong is None:
            yield row._replace(values=[parsed.get(column) for column in names])
        else:
            yield Fault(row.line, f"expected text, found {_found(parsed, wrong)}", row.head, wrong)


def _found(row: Any, column: str) -> str:
    if column not in row:
        return f"no such field, but {listed(row, 10)}"
    value = row[column]
    return "null" if value is None else f"{type(value).__name__} {shown(value)}"


def _rows(lines: Iterable[tuple[int, bytes]], strict: bool = True) -> Iterator[Record | Fault]:
    """Each row as a record of one value, its object."""
    for row in without_blank_end(text_rows(lines)):
        if isinstance(row, Fault):
            yield row
        elif strict or str(row.values[0]).strip():
            yield _parsed(row, str(row.values[0]), strict)


def _parsed(row: Record, text: str, strict: bool) -> Record | Fault:
    try:
        value = json.loads(text)
        if "\\u" in text:
            # A lone surrogate escape is valid JSON but no text: it has no UTF-8.
            plain = json.dumps(value, ensure_ascii=False).encode("utf-8", "strict" if strict else "replace")
            value = value if strict else json.loads(plain)
    except UnicodeEncodeError:
        return Fault(row.line, r"expected text, found half of a surrogate pair (\ud800 to \udfff)", row.head)
    except (ValueError, RecursionError) as error:
        return Fault(row.line, f"expected a JSON object, found broken JSON: {error}", row.head)
    if not isinstance(value, dict):
        return Fault(row.line, f"expected a JSON object, found {type(value).__name__}", row.head)
    return row._replace(values=[value])
