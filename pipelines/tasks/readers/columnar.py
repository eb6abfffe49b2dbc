"""Record batches of the input (Parquet, hub) as batches of the task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.source import Column, Request, Role, json_text
from pipelines.tasks.task import TEXT_SHOWN, UNLABELLED, BadRow, RowError

if TYPE_CHECKING:
    from collections.abc import Callable


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type with dictionaries decoded and extensions replaced by what they store, at any depth."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, plain_type(field.type)) for field in kind])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(plain_type(kind.value_type), kind.list_size)
    if pa.types.is_large_list(kind):
        return pa.large_list(plain_type(kind.value_type))
    if pa.types.is_list(kind):
        return pa.list_(plain_type(kind.value_type))
    return kind


def is_text(kind: pa.DataType) -> bool:
    """Whether values of that type are text, or bytes that may be: not every writer marks text as such."""
    return kind in (
        pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()
    )  # fmt: skip


def task_batch(batch: pa.RecordBatch, start: int, place: str, request: Request) -> pa.RecordBatch:
    """A batch of the input as a batch of the task; bad rows are reported, in order, and left out.

    Args:
        batch: Rows as they stand in the input.
        start: source_idx of its first row.
        place: The input's name in messages.
        request: The plan and who hears of bad rows.
    """
    numbers = pa.array(range(start, start + batch.num_rows), pa.int64())
    faults: dict[int, tuple[str, str]] = {}

    def fault(row: int, column: str, error: str) -> None:
        faults.setdefault(row, (column, error))

    columns = [_column(column, batch, numbers, request, fault, place) for column in request.plan.columns]
    for row in sorted(faults):
        column, error = faults[row]
        in_file = start - request.start + row
        request.report(BadRow(place, None, start + row, column, error, _head(batch, row, request), in_file))
    result = pa.RecordBatch.from_arrays([numbers, *columns], schema=request.plan.batch_schema)
    if not faults:
        return result
    return result.take(pa.array([row for row in range(batch.num_rows) if row not in faults], pa.int64()))


def _column(
    column: Column,
    batch: pa.RecordBatch,
    numbers: pa.Array,
    request: Request,
    fault: Callable[[int, str, str], None],
    place: str,
) -> pa.Array:
    if column.role is Role.ROW_NUMBER:
        return numbers.cast(column.type)
    if column.role is Role.UNLABELLED:
        return pa.array([UNLABELLED] * batch.num_rows, column.type)
    array = decoded_array(batch.column(column.read_from))
    if column.role is Role.TEXT:
        return _text(array, column, fault)
    if column.role is Role.LABEL:
        return _label(array, column, request, fault)
    if column.role is Role.JSON:
        if pa.types.is_temporal(array.type) and not pa.types.is_interval(array.type):
            array = array.cast(pa.string())  # Python's own times end at microseconds
        return pa.array(map(json_text, python_values(array)), column.type)
    try:
        return array.cast(column.type)
    except pa.ArrowInvalid as error:
        raise UserError(
            f"{place}, column {column.name!r}: expected values that {column.type} holds; {error}"
        ) from error


def decoded_array(array: pa.Array) -> pa.Array:
    """The array with dictionaries decoded, extensions replaced by what they store."""
    array = array.storage if isinstance(array, pa.ExtensionArray) else array
    kind = plain_type(array.type)
    return array if kind == array.type else array.cast(kind)


def _text(array: pa.Array, column: Column, fault: Callable[[int, str, str], None]) -> pa.Array:
    if array.null_count:
        for row, is_null in enumerate(array.is_null().to_pylist()):
            if is_null:
                fault(row, column.name, "expected text, found null")
    try:
        array.validate(full=True)
        return array.cast(column.type)
    except pa.ArrowInvalid:
        # Readers of Parquet do not look whether text is UTF-8; find the rows that are not.
        return _checked_text(array, column, fault)


def _checked_text(array: pa.Array, column: Column, fault: Callable[[int, str, str], None]) -> pa.Array:
    texts: list[str | None] = []
    for row, data in enumerate(_bytes_of(array)):
        try:
            texts.append(None if data is None else data.decode("utf-8"))
        except UnicodeDecodeError as error:
            texts.append(None)
            fault(row, column.name, f"expected UTF-8, found byte 0x{error.object[error.start]:02x}")
    return pa.array(texts, column.type)


def _bytes_of(array: pa.Array) -> list[bytes | None]:
    large = not pa.types.is_string(array.type)
    values: list[bytes | None] = array.cast(pa.large_binary() if large else pa.binary()).to_pylist()
    return values


def _label(array: pa.Array, column: Column, request: Request, fault: Callable[[int, str, str], None]) -> pa.Array:
    labels = request.plan.labels
    if labels is None:
        return array
    values: list[int | float] = []
    for row, value in enumerate(python_values(array)):
        try:
            values.append(labels(value))
        except RowError as error:
            values.append(UNLABELLED)
            fault(row, column.name, str(error))
    return pa.array(values, column.type)


def python_values(array: pa.Array) -> list[object]:
    """The values of a decoded array; of text that is no UTF-8 the bytes, and a float32 0.1 as 0.1."""
    if is_text(array.type):
        return [None if data is None else _text_or_bytes(data) for data in _bytes_of(array)]
    values: list[object] = array.to_pylist()
    if pa.types.is_float16(array.type) or pa.types.is_float32(array.type):
        kind = array.type.to_pandas_dtype()
        return [None if value is None else float(str(kind(value))) for value in values]
    return values


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def _head(batch: pa.RecordBatch, row: int, request: Request) -> str:
    """The first characters of the row's first text."""
    origin = next(column.read_from for column in request.plan.columns if column.role is Role.TEXT)
    head = _bytes_of(decoded_array(batch.column(origin)).slice(row, 1))[0] or b""
    return head.decode("utf-8", "replace")[:TEXT_SHOWN]
