"""Lines that are looked at before they are taken: by columns where that gives what records would, else by records."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.tasks.readers.lines import Fault, Lines, Record
from pipelines.tasks.readers.source import BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    Records = Callable[[Iterable[tuple[int, bytes]]], Iterator[Record | Fault]]
    ByColumns = Callable[[list[bytes]], pa.RecordBatch | None]


class Feed:
    """The lines of a file with their numbers; iterating takes them one by one.

    Args:
        path: The file.

    Attributes:
        number: Of the next line (1-based).
        lines: Tell how much of the file was read.
        broken: What is wrong with the file after the lines that could be read.
    """

    def __init__(self, path: Path) -> None:
        self.number, self.lines = 1, Lines(path)
        self._batches = self.lines.batches()
        self._held: list[bytes] = []
        self._taken = 0  # of those that are held
        self.broken: UserError | None = None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while ahead := self._held[self._taken : self._taken + 1] or self.ahead(1):
            number = self.number
            self.take(1)
            yield number, ahead[0]
        if self.broken is not None:
            raise self.broken

    def ahead(self, count: int) -> list[bytes]:
        """The next lines: fewer at the end, at damage, which is told when it is reached, or beyond BATCH_BYTES."""
        del self._held[: self._taken]
        self._taken = 0
        size = sum(map(len, self._held))
        try:
            while len(self._held) < count and size < BATCH_BYTES and (more := next(self._batches, None)):
                self._held += more
                size += sum(map(len, more))
        except UserError as error:
            self.broken = error
        return self._held[:count]

    def take(self, count: int) -> None:
        """Leaves so many lines behind."""
        self._taken += count
        self.number += count


@dataclass(frozen=True)
class Format:
    """How lines of a format become rows.

    Attributes:
        records: Makes records of lines, exactly, and says what is wrong with a row and where.
        by_columns: Makes the same rows of the same lines, all at once; None where it cannot, as at any fault.
        whole: Gives the lines of so many rows, or of all that are left.
    """

    records: Records
    by_columns: ByColumns | None = None
    whole: Callable[[Feed, int], list[bytes]] = Feed.ahead


@dataclass(frozen=True)
class Lot:
    """Rows that follow each other in a file.

    Attributes:
        records: Gives the rows as records.
        batch: The rows by columns; None where they were read as records.
    """

    records: Callable[[], list[Record | Fault]]
    batch: pa.RecordBatch | None = None


def lots(feed: Feed, form: Format, rows: int) -> Iterator[Lot]:
    """Yields the rows of a file in lots of so many, the last one aside; lots of long rows have fewer.

    Args:
        feed: The file.
        form: How its lines become rows.
        rows: Of a lot.

    Raises:
        UserError: If the file cannot be read.
    """
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
    if form.by_columns is None or not (lines := form.whole(feed, rows)):
        return None
    batch = form.by_columns(lines) if sum(map(len, lines)) < BATCH_BYTES else None
    if batch is None or (batch.num_rows < rows and feed.broken is not None):
        return None
    first = feed.number
    feed.take(len(lines))
    return Lot(lambda: list(form.records(enumerate(lines, first))), batch)


def _some(records: Iterator[Record | Fault], rows: int) -> list[Record | Fault]:
    taken, size = [], 0
    for record in islice(records, rows):
        taken.append(record)
        size += record.size if isinstance(record, Record) else 0
        if size >= BATCH_BYTES:
            break
    return taken
