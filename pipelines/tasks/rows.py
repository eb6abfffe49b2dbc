"""Records of line-based formats as record batches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.lines import Fault
from pipelines.tasks.readers.source import BATCH_BYTES, Plan, Request, Role, file_digest, json_text
from pipelines.tasks.task import UNLABELLED, BadRow, RowError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from pipelines.tasks.readers.lines import Record

    Converter = Callable[[Sequence[object], int], tuple[object, ...]]


@dataclass(frozen=True)
class RowSource:
    """A file that is read row by row (TSV, CSV, JSON lines).

    Attributes:
        path: The file.
        name: Its name inside the data folder.
        schema: Its columns, in the order of the records' values.
        records: Starts reading at the first row.
        rows: Always None: they are known only after reading.
        may_lack: Whether other files of the part may have more columns; rows of this one hold null there.
    """

    path: Path
    name: str
    schema: pa.Schema
    records: Callable[[], Iterator[Record | Fault]]
    rows: int | None = None
    may_lack: bool = False

    @property
    def place(self) -> str:
        """The path as the user gave it."""
        return str(self.path)

    def digest(self) -> tuple[int, str]:
        """Size in bytes and sha256."""
        return file_digest(self.path)

    def values(self, column: str) -> Iterator[object]:
        """The values of one column, row by row; faulty rows are passed over."""
        position = self.schema.get_field_index(column)
        for record in self.records():
            if not isinstance(record, Fault):
                yield record[2][position]

    def read(self, request: Request) -> Generator[pa.RecordBatch, None, int]:
        """Yields batches of the good rows and reports the bad; returns the number of both."""
        convert = _converter(request.plan, self.schema.names)
        rows: list[tuple[object, ...]] = []
        number, size = request.start, 0
        for number, record in enumerate(islice(self.records(), request.limit), request.start + 1):
            if isinstance(record, Fault):
                request.report(self._bad(record, number - 1))
                continue
            try:
                rows.append(convert(record[2], number - 1))
            except RowError as error:
                request.report(self._bad(Fault(record[0], str(error), record[3], error.column), number - 1))
                continue
            size += record[1]
            if len(rows) >= request.rows or size >= BATCH_BYTES:
                yield self._batch(rows, request.plan)
                rows, size = [], 0
        if rows:
            yield self._batch(rows, request.plan)
        return number - request.start

    def _batch(self, rows: list[tuple[object, ...]], plan: Plan) -> pa.RecordBatch:
        arrays = []
        for column, field in zip(zip(*rows, strict=True), plan.batch_schema, strict=True):
            try:
                arrays.append(pa.array(column, field.type))
            except pa.ArrowInvalid as error:  # a great integer where another file of the part has fractions
                expected = f"expected values that {field.type} holds"
                raise UserError(f"{self.place}, column {field.name!r}: {expected}; {error}") from error
        return pa.RecordBatch.from_arrays(arrays, schema=plan.batch_schema)

    def _bad(self, fault: Fault, source_idx: int) -> BadRow:
        return BadRow(self.place, fault.line, source_idx, fault.column, fault.error, fault.text)


def _converter(plan: Plan, header: list[str]) -> Converter:
    """A function of (values, source_idx) that gives a row of the batches; it raises RowError."""
    labels = plan.labels
    # JSON lines of one part may lack a column that others have.
    places = [header.index(column.origin) if column.origin in header else -1 for column in plan.columns]
    steps = [(column.role, place) for column, place in zip(plan.columns, places, strict=True)]

    def convert(values: Sequence[object], number: int) -> tuple[object, ...]:
        row: list[object] = [number]
        for role, place in steps:
            if role is Role.LABEL and labels is not None:
                row.append(labels(values[place]))
            elif role is Role.ROW_NUMBER:
                row.append(number)
            elif role is Role.UNLABELLED:
                row.append(UNLABELLED)
            elif place < 0:
                row.append(None)
            elif role is Role.JSON:
                row.append(json_text(values[place]))
            else:
                row.append(values[place])
        return tuple(row)

    return convert
