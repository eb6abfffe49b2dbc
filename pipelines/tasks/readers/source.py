"""What every reader offers, whatever its format, and the plan it reads by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from pipelines.tasks.labels import LabelReader
    from pipelines.tasks.task import BadRow

BATCH_BYTES = 32 * 1024 * 1024
"""Bytes of input after which a batch ends even if it has fewer rows than asked for: long rows stay bounded."""

SOURCE_IDX = "source_idx"


class Role(Enum):
    """What a column is, and so how it is made from the input."""

    TEXT = "text"
    LABEL = "label"
    KEPT = "kept"
    JSON = "kept as JSON text"
    ROW_NUMBER = "row number"
    UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Column:
    """A column of the batches.

    Attributes:
        name: Its name in the batches.
        type: Its type in the batches.
        role: How it is made.
        origin: Its name in the file; None where it is not read from it.

    Raises:
        ValueError: If role and origin contradict each other.
    """

    name: str
    type: pa.DataType
    role: Role
    origin: str | None = None

    def __post_init__(self) -> None:
        if (self.origin is None) != (self.role in (Role.ROW_NUMBER, Role.UNLABELLED)):
            raise ValueError(f"a {self.role.value} column does not go with the origin {self.origin!r}")

    @property
    def read_from(self) -> str:
        """The name in the file of a column that is read from it; the batches' own name for others."""
        return self.name if self.origin is None else self.origin


@dataclass(frozen=True)
class Plan:
    """How rows become batches.

    Attributes:
        columns: The columns of the batches, after source_idx.
        labels: Turns a label of the input into a class number or a score; None without a label.
    """

    columns: tuple[Column, ...]
    labels: LabelReader | None

    @property
    def schema(self) -> pa.Schema:
        """The task's own columns."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @property
    def batch_schema(self) -> pa.Schema:
        """Source_idx and the task's own columns."""
        return pa.schema([(SOURCE_IDX, pa.int64()), *self.schema])


@dataclass(frozen=True)
class Request:
    """Which rows of a source are wanted.

    Attributes:
        plan: How rows become batches.
        start: source_idx of the source's first row.
        limit: Rows to read at most, bad ones included; None: all.
        rows: Rows of a batch at most.
        report: Is given every bad row.
    """

    plan: Plan
    start: int
    limit: int | None
    rows: int
    report: Callable[[BadRow], None]


class Source(Protocol):
    """One file of a part of a task, or one part on the hub."""

    @property
    def name(self) -> str:
        """Its name without machine paths."""

    @property
    def place(self) -> str:
        """Its name in messages: the path as the user gave it."""

    @property
    def schema(self) -> pa.Schema:
        """Its columns as they are read."""

    @property
    def rows(self) -> int | None:
        """Its rows, if they are known without reading it."""

    def values(self, column: str) -> Iterator[object]:
        """The values of one column, in no order and perhaps not each as often as it occurs."""

    def read(self, request: Request) -> Generator[pa.RecordBatch, None, int]:
        """Yields batches; returns the number of rows read, bad ones included."""

    def digest(self) -> tuple[int, str]:
        """Its size in bytes and its sha256, hexadecimal."""


def json_text(value: object) -> str | None:
    """A value of a column that holds several types, as JSON, of bytes their text; null stays null."""
    return None if value is None else json.dumps(value, ensure_ascii=False, default=_text)


def _text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def file_digest(path: Path) -> tuple[int, str]:
    """Size and sha256 of a file, read in blocks.

    Raises:
        UserError: If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as error:
        raise UserError(f"{path}: expected a readable file; {error.strerror or error}.") from error
