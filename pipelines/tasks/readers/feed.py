"""Lines that are looked at before they are taken: by columns where that gives what records would, else by records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.machine.limits import usable_cores
from pipelines.tasks.readers.ahead import Ahead
from pipelines.tasks.readers.block import Block
from pipelines.tasks.readers.lines import Fault, Lines, Record
from pipelines.tasks.readers.source import BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    Records = Callable[[Iterable[tuple[int, bytes]]], Iterator[Record | Fault]]
    ByColumns = Callable[[Block], pa.RecordBatch | None]

SAMPLED_ROWS = 512
"""Rows of a lot where not all are read: all who sample a file see the same ones."""


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
        self.done = 0  # bytes of the file that were read for the lines that were taken
        self.broken: UserError | None = None
        self._unread = self.lines.blocks()
        self._held: list[Block] = []
        self._read_to: list[int] = []  # bytes of the file that were read with each that is held, and before
        self._taken = 0  # lines of the first that is held

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while self._held or self._read():
            for line in self._held[0].part(self._taken, len(self._held[0])).lines():
                number = self.number
                self._take(1, len(line))
                yield number, line
        if self.broken is not None:
            raise self.broken

    def ahead(self, count: int, after: int = 0) -> Block:
        """Lines that come next: fewer at the end, at damage, which is told when it is reached, or beyond BATCH_BYTES.

        Args:
            count: How many.
            after: How many before them are passed over.
        """
        found: list[Block] = []
        passed, left, size, place = self._taken + after, count, 0, 0
        while left and size < BATCH_BYTES and (place < len(self._held) or self._read()):
            held, place = self._held[place], place + 1
            if passed < len(held):
                found.append(held.part(passed, passed + left))
                left, size = left - len(found[-1]), size + len(found[-1].data)
            passed = max(0, passed - len(held))
        return Block.joined(found)

    def rows_ahead(self, rows: int, after: int = 0) -> Block:
        """The lines of so many quoted rows, or all that are ahead; arguments as of `ahead`."""
        count = rows
        while True:
            lines = self.ahead(count, after)
            ends = lines.row_ends()
            if len(ends) >= rows:
                return lines.part(0, int(ends[rows - 1]) + 1)
            if len(lines) < count:
                return lines
            count *= 2

    def take(self, lines: Block) -> None:
        """Leaves lines that are ahead behind."""
        self._take(len(lines), len(lines.data))

    def skip(self, size: int, quoted: bool) -> None:
        """Leaves about so many bytes of lines behind, up to the end of a row."""
        if self._held:
            self._held[0], self._taken = self._held[0].part(self._taken, len(self._held[0])), 0
        end, marks = self.passed + size, 0
        while self._held or self._read():
            block = self._held[0]
            if self.passed + len(block.data) > end:
                break
            marks += block.data.count(b'"')
            self.take(block)
        while self.passed < end or (quoted and marks % 2):
            if not (ahead := self.ahead(1)):
                break
            marks += ahead.data.count(b'"')
            self.take(ahead)

    def _read(self) -> bool:
        """Whether more could be read."""
        try:
            block = next(self._unread, None)
        except UserError as error:
            self.broken, block = error, None
        if block is not None:
            self._held.append(block)
            self._read_to.append(self.lines.done)
        return block is not None

    def _take(self, count: int, size: int) -> None:
        self.number, self.passed, self._taken = self.number + count, self.passed + size, self._taken + count
        while self._held and self._taken >= len(self._held[0]):
            self._taken, self.done = self._taken - len(self._held.pop(0)), self._read_to.pop(0)
        if self._taken:
            self.done = self._read_to[0]


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
        yield from _lots(feed, form, rows, usable_cores())
        return
    start, read = feed.passed, 0
    before = start
    for lot in _lots(feed, form, SAMPLED_ROWS, 1):
        size = feed.passed - before
        feed.skip((every - 1) * size, form.quoted)
        read, before = read + size, feed.passed
        yield replace(lot, stands_for=(before - start) / max(1, read))


def _lots(feed: Feed, form: Format, rows: int, threads: int) -> Iterator[Lot]:
    records = None
    with Ahead(threads, BATCH_BYTES) as ahead:
        while True:
            if records is None and (lot := _by_columns(feed, form, rows, ahead)):
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


def _by_columns(feed: Feed, form: Format, rows: int, ahead: Ahead) -> Lot | None:
    if form.by_columns is None:
        return None
    lines, batch = ahead.next_lot(partial(feed.rows_ahead if form.quoted else feed.ahead, rows), form.by_columns)
    if batch is None or (batch.num_rows < rows and feed.broken is not None):
        ahead.forget()
        return None
    first = feed.number
    feed.take(lines)
    return Lot(lambda: list(form.records(enumerate(lines.lines(), first))), batch)


def _some(records: Iterator[Record | Fault], rows: int) -> list[Record | Fault]:
    taken, size = [], 0
    for record in islice(records, rows):
        taken.append(record)
        size += record.size if isinstance(record, Record) else 0
        if size >= BATCH_BYTES:
            break
    return taken
