"""One part of a task, opened for reading, and the task that it is part of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.columnar import read
from pipelines.tasks.readers.source import ROWS, SOURCE_IDX, Plan, Role, Source, file_digest
from pipelines.tasks.task import InputFile, Task, listed, pass_over
from pipelines.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pipelines.tasks.task import BadRow


@dataclass(frozen=True)
class Picked:
    """Some rows of the files of a part.

    Attributes:
        rows: source_idx of the rows that are held out of it (int64).
        inside: Whether these are the part, or all others.
        digests: Of the texts of the rows that are held out, each once (uint64), as `text_digests` makes them.
    """

    rows: np.ndarray
    inside: bool
    digests: np.ndarray

    def of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The picked rows of a batch."""
        return batch.filter(pa.array(np.isin(batch.column(SOURCE_IDX), self.rows) == self.inside))


@dataclass(frozen=True)
class Split:
    """One part of a task.

    Attributes:
        name: "train", "validation", "test", or MNLI's "validation_matched", ….
        task: The task.
        sources: Its files, in order.
        plan: How their rows become batches.
        on_bad: Is given every bad row; it stops the reading by raising.
        picked: Which rows of the files it is; None for all.
    """

    name: str
    task: Task
    sources: tuple[Source, ...]
    plan: Plan
    on_bad: Callable[[BadRow], None]
    picked: Picked | None = None
    _counted: dict[int, int] = field(default_factory=dict, repr=False, compare=False)
    _estimated: dict[int, float] = field(default_factory=dict, repr=False, compare=False)
    _hashed: list[tuple[int, str]] = field(default_factory=list, repr=False, compare=False)

    @property
    def schema(self) -> pa.Schema:
        """The task's own columns, without metadata; batches have source_idx int64 before them."""
        return self.plan.schema

    @property
    def files(self) -> tuple[InputFile, ...]:
        """The files, hashed block by block on first use; rows are known once they have all been read."""
        rows = [self._counted.get(index, source.rows) for index, source in enumerate(self.sources)]
        if not self._hashed:
            self._hashed[:] = [file_digest(source.path) for source in self.sources]
        parts = zip(self.sources, self._hashed, rows, strict=True)
        return tuple(InputFile(source.name, *digest, count) for source, digest, count in parts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say of how its files are read."""
        mixed = [column.name for column in self.plan.columns if column.role is Role.JSON]
        return (f"kept as JSON text, for their values are of several types: columns {listed(mixed)}",) if mixed else ()

    @property
    def file_rows(self) -> dict[str, int | None]:
        """Rows of the files by name, bad ones included, without hashing them; None until they have all been read."""
        return {source.name: self._counted.get(index, source.rows) for index, source in enumerate(self.sources)}

    def sampled(self, every: int) -> Split:
        """The same part, of which one row of so many is read, about: what `batches` gives stands for `rows_about`."""
        if every == 1:
            return self
        sources = tuple(source.sampled(every) for source in self.sources)
        return replace(self, sources=sources, _counted={}, _estimated={})

    @property
    def rows_about(self) -> int:
        """Rows of the input that were read, or passed over between those that were, bad ones included."""
        return round(sum(self._estimated.values()))

    def batches(self, limit: int | None = None, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        """Yields the good rows in order, in bounded memory; each call starts anew.

        Args:
            limit: Read only the first so many rows of the input (bad ones count); None: all.
            rows: Rows of a batch at most; batches of long rows have fewer.

        Raises:
            UserError: At the first bad row unless `on_bad` says otherwise, if a file cannot be read, or if
                there are no rows, or no good ones.
            ValueError: If limit or rows is less than 1.
        """
        if rows < 1 or (limit is not None and limit < 1):
            raise ValueError(f"rows and limit must be at least 1; found {rows} and {limit}")
        return self._batches(limit, rows)

    def _batches(self, limit: int | None, rows: int) -> Iterator[pa.RecordBatch]:
        start = good = 0
        on_bad = pass_over if self.picked is not None and self.picked.inside else self.on_bad  # they are the others'
        for index, source in enumerate(self.sources):
            left, first = None if limit is None else limit - start, start
            if left is not None and left <= 0:  # chunks are taken whole
                break
            for chunk, whole in read(source, self.plan, on_bad, start, left, rows):
                batch = whole if self.picked is None else self.picked.of(whole)
                start, good = start + chunk.size, good + batch.num_rows
                self._estimated[index] = (start - first) * chunk.stands_for
                if batch.num_rows:
                    yield batch
            if left is None:
                self._counted[index] = start - first
        if not good:
            found = counted(start, "bad one") if start else "none"
            raise UserError(f"{self._place}: expected rows, found {found}. Pass a file that has good ones.")

    @property
    def _place(self) -> str:
        return ", ".join(source.place for source in self.sources)


@dataclass(frozen=True)
class OpenTask:
    """A task whose parts have been found.

    Attributes:
        task: The task.
        parts: Each part that is present (hub names) and how it is opened.
        expected: What a part would be stored as, for messages.
        place: Where the parts were looked for.
        revision: The hub's commit that is read, or, where that is not known, as asked for; None for local files.
        read_notes: What to say of how its files and the labels that classes were found in are read.
    """

    task: Task
    parts: Mapping[str, Callable[[], Split]]
    expected: Callable[[str], str]
    place: str
    revision: str | None = None
    read_notes: tuple[str, ...] = ()
    _opened: dict[str, Split] = field(default_factory=dict, repr=False, compare=False)

    def notes(self) -> tuple[str, ...]:
        """What to say of how the train part is read.

        Raises:
            UserError: If its file cannot be read or lacks columns.
        """
        read = self.split("train").notes if "train" in self.parts else ()
        return (*self.read_notes, *read)

    def split(self, name: str) -> Split:
        """A part, opened once: "train", "validation", ….

        Raises:
            UserError: If it is not present, or its file lacks columns.
        """
        if name not in self.parts:
            raise UserError(
                f"{self.place}: expected {self.expected(name)} for the {name!r} part of {self.task.name}, "
                f"found parts: {listed(self.parts)}. Add the file, or name another folder with --data."
            )
        if name not in self._opened:
            self._opened[name] = self.parts[name]()
        return self._opened[name]

    def reporting(self, on_bad: Callable[[BadRow], None]) -> OpenTask:
        """The same parts, whose bad rows are given to another function; what was hashed is not hashed again.

        Args:
            on_bad: Is given every bad row.
        """

        def part(name: str) -> Split:
            return replace(self.split(name), on_bad=on_bad, _counted={})

        return replace(self, parts={name: partial(part, name) for name in self.parts}, _opened={})

    def held_out(self) -> tuple[str, ...]:
        """The names of the dev and test parts that are present."""
        return tuple(name for name in self.parts if name != "train")
