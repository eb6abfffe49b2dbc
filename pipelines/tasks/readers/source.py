"""What every reader offers, whatever its format, and the plan it reads by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipelines.tasks.labels import LabelReader
    from pipelines.tasks.readers.lines import Fault

BATCH_BYTES = 32 * 1024 * 1024
"""Bytes of input after which a batch ends even if it has fewer rows than asked for: long rows stay bounded."""

LARGE_BYTES = 16 * 1024 * 1024
"""Bytes of a part's files up to which all rows are counted, by the tokenizer of a model, in some 10 s."""

LARGE_ROWS = 100_000
"""The same in rows, where so many are asked for."""

SAMPLE_BYTES = 2 * 1024 * 1024
"""Bytes that are read of larger ones."""

ROWS = 8192
"""Rows that are read at a time where nobody asks for fewer."""

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
        origin: Its name in the file; None where it is the same, or not read from the file.
    """

    name: str
    type: pa.DataType
    role: Role
    origin: str | None = None

    @property
    def read_from(self) -> str:
        """The name in the file of a column that is read from it."""
        return self.origin or self.name


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
class Chunk:
    """Rows that follow each other in a file, as they stand there.

    Attributes:
        size: How many they are, those that could not be split into values included.
        done: Share of the file that was read with them.
        good: Positions in the chunk of the rows that have values.
        faults: By their positions, what is wrong with the others.
        values: Gives the values of a column, one for each good row: an Arrow array or a list.
        begin: Gives the physical line (None where the format has no lines) and the beginning of a good row; takes its
            number among them and the first column of text.
        again: Reads the same rows as records, whose values keep their kinds and whose faults have their lines; None
            where the values are as exact as can be.
        stands_for: Rows of the file up to the next chunk, about, for each that was read so far; 1: all are read.
    """

    size: int
    done: float
    good: Sequence[int]
    faults: Mapping[int, Fault]
    values: Callable[[str], Any]
    begin: Callable[[int, str], tuple[int | None, str]]
    again: Callable[[], Chunk] | None = None
    stands_for: float = 1.0


@dataclass(frozen=True)
class Source:
    """A file of a part of a task.

    Attributes:
        path: The file.
        name: Its name inside the data folder, without machine paths.
        place: Its name in messages: the path as the user gave it, or the name on the hub.
        schema: Its columns as they are read.
        chunks: Reads it from the beginning: takes the rows of a chunk at most and the columns that are wanted, or
            None for all; chunks of long rows have fewer rows. With `every`, one row of so many is read, about.
        rows: Its rows, if they are known without reading it.
        may_lack: Whether other files of the part may have more columns; rows of this one hold null there.
        class_names: Names of classes by column, where `datasets` stored them.
    """

    path: Path
    name: str
    place: str
    schema: pa.Schema
    chunks: Callable[..., Iterator[Chunk]]
    rows: int | None = None
    may_lack: bool = False
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def sampled(self, every: int) -> Source:
        """The same file, of which one row of so many is read, about."""
        return replace(self, chunks=partial(self.chunks, every=every))


def sampling(paths: Iterable[Path], limit: int | None) -> int:
    """One row of how many is read of a part where numbers need not be exact; 1, all, where there are not many.

    Args:
        paths: The part's files.
        limit: Rows that would be read of them; None for all.
    """
    size = sum(path.stat().st_size for path in paths)
    return 1 if size <= LARGE_BYTES or (limit or LARGE_ROWS) < LARGE_ROWS else size // SAMPLE_BYTES


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
