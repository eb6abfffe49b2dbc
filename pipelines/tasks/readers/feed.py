"""Lines that are looked at before they are taken: by columns where that gives what records would, else by records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from itertools import chain, islice
from operator import methodcaller
from typing import TYPE_CHECKING

import numpy as np

from pipelines.errors import UserError
from pipelines.tasks.readers.lines import Fault, Lines, Record
from pipelines.tasks.readers.source import BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    Records = Callable[[Iterable[tuple[int, bytes]]], Iterator[Record | Fault]]
    ByColumns = Callable[[list[bytes]], pa.RecordBatch | None]

SAMPLED_ROWS = 512
"""Rows of a lot where not all are read: all who sample a file see the same ones."""

_MARKS = methodcaller("count", b'"')


class Feed:
    """The lines of a file with their numbers; iterating takes them one by one.

    Args:
        path: The file.

    Attributes:
        number: Of the next line (1-based).
        passed: Bytes of the lines before it.
        lines: Tell how much of the file was read.
        broken: What is wrong with the file after the lines that could be read.
    """

    def __init__(self, path: Path) -> None:
        self.number, self.passed, self.lines = 1, 0, Lines(path)
        self.broken: UserError | None = None
        self._blocks = self.lines.blocks()
        self._held: list[bytes] = []
        self._taken = 0  # of those that are held

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while ahead := self._held[self._taken : self._taken + 1] or self.ahead(1):
            number = self.number
            self.take(ahead)
            yield number, ahead[0]
        if self.broken is not None:
            raise self.broken

    def ahead(self, count: int) -> list[bytes]:
        """The next lines: fewer at the end, at damage, which is told when it is reached, or beyond BATCH_BYTES."""
        del self._held[: self._taken]
        self._taken = 0
        size = sum(map(len, self._held))
        try:
            while len(self._held) < count and size < BATCH_BYTES and (block := next(self._blocks, None)) is not None:
                self._held += BytesIO(block).readlines() or [block]
                size += len(block)
        except UserError as error:
            self.broken = error
        return self._held[:count]

    def rows_ahead(self, rows: int) -> list[bytes]:
        """The lines of so many quoted rows, or all that are ahead."""
        count = rows
        while True:
            lines = self.ahead(count)
            ends = row_ends(lines)
            if len(ends) >= rows:
                return lines[: ends[rows - 1] + 1]
            if len(lines) < count:
                return lines
            count *= 2

    def take(self, lines: list[bytes]) -> None:
        """Leaves lines that are ahead behind."""
        self._taken += len(lines)
        self.number += len(lines)
        self.passed += sum(map(len, lines))

    def skip(self, size: int, quoted: bool) -> None:
        """Leaves about so many bytes of lines behind, up to the end of a row."""
        held = b"".join(self._held[self._taken :])
        self._held, self._taken = [], 0
        end, marks = self.passed + size, 0
        for block in chain([held], self._blocks):
            if self.passed + len(block) > end:
                self._held = BytesIO(block).readlines()
                break
            self.number, self.passed = self.number + block.count(b"\n"), self.passed + len(block)
            marks += block.count(b'"')
        while self.passed < end or (quoted and marks % 2):
            if not (ahead := self.ahead(1)):
                break
            marks += ahead[0].count(b'"')
            self.take(ahead)


def row_ends(lines: list[bytes]) -> np.ndarray:
    """The lines that quoted rows end with, int64: those after which the number of quotation marks is even."""
    marks = np.fromiter(map(_MARKS, lines), np.int64, len(lines))
    return np.flatnonzero(np.cumsum(marks) % 2 == 0)


@dataclass(frozen=True)
class Format:
    """How lines of a format become rows.

    Attributes:
        records: Makes records of lines, exactly, and says what is wrong with a row and where.
        by_columns: Makes the same rows of the same lines, all at once; None where it cannot, as at any fault.
        quoted: Whether lines may end inside quotation marks.
    """

    records: Records
    by_columns: ByColumns | None = None
    quoted: bool = False


@dataclass(frozen=True)
class Lot:
    """Rows that follow each other in a file.

    Attributes:
        records: Gives the rows as records.
        batch: The rows by columns; None where they were read as records.
        stands_for: Rows of the file up to the next lot for each that was read, this lot included, by their bytes.
    """

    records: Callable[[], list[Record | Fault]]
    batch: pa.RecordBatch | None = None
    stands_for: float = 1.0


def lots(feed: Feed, form: Format, rows: int, every: int = 1) -> Iterator[Lot]:
    """Yields the rows of a file in lots of so many, the last one aside; lots of long rows have fewer.

    Args:
        feed: The file.
        form: How its lines become rows.
        rows: Of a lot.
        every: One row of so many is read, about, in lots of SAMPLED_ROWS spread over the file; 1: all.

    Raises:
        UserError: If the file cannot be read.
    """
    if every == 1:
        yield from _lots(feed, form, rows)
        return
    start, read = feed.passed, 0
    before = start
    for lot in _lots(feed, form, SAMPLED_ROWS):
        size = feed.passed - before
        feed.skip((every - 1) * size, form.quoted)
        read, before = read + size, feed.passed
        yield replace(lot, stands_for=(before - start) / max(1, read))


def _lots(feed: Feed, form: Format, rows: int) -> Iterator[Lot]:
    records = None
    while True:
        if records is None and (lot := _by_columns(feed, form, rows)):
            yield lot
            continue
        records = records or form.records(feed)
        taken = _some(records, rows)
        if not taken:
            return
        yield Lot(partial(list, taken))
        last = taken[-1]
        if last.head if isinstance(last, Record) else last.text:
            records = None  # after all but blank rows, which are held back until it is known what follows


def _by_columns(feed: Feed, form: Format, rows: int) -> Lot | None:
    if form.by_columns is None or not (lines := feed.rows_ahead(rows) if form.quoted else feed.ahead(rows)):
        return None
    batch = form.by_columns(lines) if sum(map(len, lines)) < BATCH_BYTES else None
    if batch is None or (batch.num_rows < rows and feed.broken is not None):
        return None
    first = feed.number
    feed.take(lines)
    return Lot(lambda: list(form.records(enumerate(lines, first))), batch)


def _some(records: Iterator[Record | Fault], rows: int) -> list[Record | Fault]:
    taken, size = [], 0
    for record in islice(records, rows):
        taken.append(record)
        size += record.size if isinstance(record, Record) else 0
        if size >= BATCH_BYTES:
            break
    return taken
