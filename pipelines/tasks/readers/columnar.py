"""Chunks of the input, whatever its format, as batches of the task."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.lines import Fault
from pipelines.tasks.readers.source import ROWS, Chunk, Column, Plan, Role, Source, json_text
from pipelines.tasks.task import TEXT_SHOWN, UNLABELLED, BadRow, RowError, wrong_byte

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.tasks.labels import LabelReader

    Report = Callable[[int, str, str], None]  # is given a good row's number, its column and what is wrong

NOT_READ = (Role.ROW_NUMBER, Role.UNLABELLED)


def arrow_chunk(batch: pa.RecordBatch, done: float, stands_for: float = 1.0) -> Chunk:
    """Rows of a columnar format.

    Args:
        batch: The rows.
        done: Share of the file that was read with them.
        stands_for: As of `Chunk`.
    """

    def values(column: str) -> pa.Array:
        return decoded_array(batch.column(column))

    def begin(row: int, text: str) -> tuple[None, str]:
        return None, (_bytes_of(values(text).slice(row, 1))[0] or b"").decode("utf-8", "replace")[:TEXT_SHOWN]

    return Chunk(batch.num_rows, done, range(batch.num_rows), {}, values, begin, stands_for=stands_for)


def read(
    source: Source,
    plan: Plan,
    on_bad: Callable[[BadRow], None],
    start: int = 0,
    most: int | None = None,
    rows: int = ROWS,
) -> Iterator[tuple[Chunk, pa.RecordBatch]]:
    """Yields chunks of a file and their good rows as batches of the task, which may be empty.

    Args:
        source: The file.
        plan: How rows become batches.
        on_bad: Is given every bad row.
        start: source_idx of the file's first row.
        most: Rows to read at most, bad ones included; None: all.
        rows: Rows of a batch at most.
    """
    done, most = 0, sys.maxsize if most is None else most
    columns = [column.read_from for column in plan.columns if column.role not in NOT_READ]
    for chunk in source.chunks(min(rows, most), columns):
        faults, batch = _good_rows(chunk, start + done, most - done, source.place, plan)
        for position, fault in faults:
            number, in_file = start + done + position, done + position
            on_bad(BadRow(source.place, fault.line, number, fault.column, fault.error, fault.text, in_file))
        yield chunk, batch
        done += chunk.size
        if done >= most:
            return


def distinct_values(source: Source, column: str) -> Iterator[object]:
    """The values of one column, in no order and perhaps not each as often as it occurs; faulty rows are passed over."""
    for chunk in source.chunks(ROWS, [column]):
        values = _of_their_kinds(chunk, column)
        if isinstance(values, list):
            yield from values
        else:
            yield from python_values(values if pa.types.is_nested(values.type) else values.unique())


def _of_their_kinds(chunk: Chunk, column: str) -> Any:
    """The values of a column, integers among fractions as such."""
    values = chunk.values(column)
    if chunk.again is None or isinstance(values, list) or not pa.types.is_floating(values.type):
        return values
    return chunk.again().values(column)


def _good_rows(
    chunk: Chunk, first: int, most: int, place: str, plan: Plan
) -> tuple[list[tuple[int, Fault]], pa.RecordBatch]:
    """What `_task_batch` makes of a chunk, of its records if anything is wrong with it."""
    try:
        found = _task_batch(chunk, first, most, place, plan)
        if chunk.again is None or not found[0]:
            return found
    except UserError:
        if chunk.again is None:
            raise
    return _task_batch(chunk.again(), first, most, place, plan)


def _task_batch(
    chunk: Chunk, first: int, most: int, place: str, plan: Plan
) -> tuple[list[tuple[int, Fault]], pa.RecordBatch]:
    """The faults among the first `most` rows, in order, with their positions in the chunk; and the good rows."""
    good, faults = chunk.good, dict(chunk.faults)
    text = next(column.read_from for column in plan.columns if column.role is Role.TEXT)

    def report(row: int, column: str, error: str) -> None:
        line, head = chunk.begin(row, text)
        faults.setdefault(good[row], Fault(line, error, head, column))

    numbers = np.arange(first, first + len(good)) if isinstance(good, range) else np.asarray(good, np.int64) + first
    columns = [_column(column, chunk, numbers, plan.labels, report, place) for column in plan.columns]
    batch = pa.RecordBatch.from_arrays([pa.array(numbers, pa.int64()), *columns], schema=plan.batch_schema)
    if faults or chunk.size > most:
        kept = [row for row, position in enumerate(good) if position < most and position not in faults]
        batch = batch.take(pa.array(kept, pa.int64()))
    return [(position, faults[position]) for position in sorted(faults) if position < most], batch


def _column(
    column: Column, chunk: Chunk, numbers: np.ndarray, labels: LabelReader | None, report: Report, place: str
) -> pa.Array:
    if column.role is Role.ROW_NUMBER:
        return pa.array(numbers, column.type)
    if column.role is Role.UNLABELLED:
        return pa.array([UNLABELLED] * len(numbers), column.type)
    if column.role is Role.JSON:
        return pa.array(map(json_text, _plain(_of_their_kinds(chunk, column.read_from))), column.type)
    values = chunk.values(column.read_from)
    if column.role is Role.TEXT:
        return pa.array(values, column.type) if isinstance(values, list) else _text(values, column, report)
    if column.role is Role.LABEL:
        return _label(values, column, labels, report)
    try:
        return pa.array(values, column.type) if isinstance(values, list) else values.cast(column.type)
    except pa.ArrowInvalid as error:  # a great integer where another file of the part has fractions
        expected = f"expected values that {column.type} holds"
        raise UserError(f"{place}, column {column.name!r}: {expected}; {error}") from error


def _plain(values: Any) -> list[object]:
    if isinstance(values, list):
        return values
    if pa.types.is_temporal(values.type) and not pa.types.is_interval(values.type):
        values = values.cast(pa.string())  # Python's own times end at microseconds
    return python_values(values)


def _text(array: pa.Array, column: Column, report: Report) -> pa.Array:
    if not array.null_count:
        try:
            array.validate(full=True)  # readers of Parquet do not look whether text is UTF-8
            return array.cast(column.type)
        except pa.ArrowInvalid:
            pass
    values = python_values(array)
    for row, value in enumerate(values):
        if isinstance(value, bytes):
            report(row, column.name, wrong_byte(value))
        elif value is None:
            report(row, column.name, "expected text, found null")
    return pa.array([value if isinstance(value, str) else None for value in values], column.type)


def _label(values: Any, column: Column, labels: LabelReader | None, report: Report) -> pa.Array:
    if labels is None:
        return values
    codes, values = _distinct(values)
    found: list[int | float] = []
    for place, value in enumerate(values):
        try:
            found.append(labels(value))
        except RowError as error:
            found.append(UNLABELLED)
            for row in [place] if codes is None else np.flatnonzero(codes == place).tolist():
                report(row, column.name, str(error))
    every = pa.array(found, column.type)
    return every if codes is None else every.take(pa.array(codes))


def _distinct(values: Any) -> tuple[np.ndarray | None, list[object]]:
    """The distinct values and their number for each row; or the values as they are, as of records and floats."""
    if isinstance(values, list):
        return None, values
    if not (is_text(values.type) or pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)):
        return None, python_values(values)
    encoded = values.dictionary_encode("encode")
    return np.asarray(encoded.indices), python_values(encoded.dictionary)


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


def decoded_array(array: pa.Array) -> pa.Array:
    """The array with dictionaries decoded, extensions replaced by what they store."""
    array = array.storage if isinstance(array, pa.ExtensionArray) else array
    kind = plain_type(array.type)
    return array if kind == array.type else array.cast(kind)


def _bytes_of(array: pa.Array) -> list[bytes | None]:
    large = not pa.types.is_string(array.type)
    values: list[bytes | None] = array.cast(pa.large_binary() if large else pa.binary()).to_pylist()
    return values


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
