"""Lines made rows in threads before they are asked for: pyarrow's readers leave Python to others meanwhile."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    import pyarrow as pa

    from pipelines.tasks.readers.block import Block

    ByColumns = Callable[[Block], pa.RecordBatch | None]


class Ahead:
    """Makes rows of lots of lines: of the first alone, then of twice as many at once, up to two for each thread.

    Args:
        threads: How many; 1: the caller's own alone.
        most_bytes: Longer lots are not read by columns, nor are lots after so many bytes of others begun.
    """

    def __init__(self, threads: int, most_bytes: int) -> None:
        self._most, self._bytes, self._at_once = 2 * threads if threads > 1 else 1, most_bytes, 1
        self._lots: deque[tuple[Block, Callable[[], pa.RecordBatch | None]]] = deque()
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def next_lot(self, lines: Callable[[int], Block], by_columns: ByColumns) -> tuple[Block, pa.RecordBatch | None]:
        """The next lot, which is empty at the end, and its rows; None where it is not read by columns.

        Args:
            lines: Gives the lot that comes after so many lines, which were given before and are not taken yet.
            by_columns: Makes rows of it.
        """
        self._begin(lines, by_columns)
        if not self._lots:
            return lines(0), None
        self._at_once = min(2 * self._at_once, self._most)
        lot, rows = self._lots.popleft()
        return lot, rows()

    def forget(self) -> None:
        """Begins anew, as the last lot was not taken and the next may be others than those that follow it."""
        self._lots.clear()
        self._at_once = 1

    def _begin(self, lines: Callable[[int], Block], by_columns: ByColumns) -> None:
        after = sum(len(lot) for lot, _ in self._lots)
        size = sum(len(lot.data) for lot, _ in self._lots)
        while len(self._lots) < self._at_once and size < self._bytes and (lot := lines(after)):
            after, size = after + len(lot), size + len(lot.data)
            work = partial(by_columns, lot) if len(lot.data) < self._bytes else _nothing
            self._lots.append((lot, work if self._at_once == 1 else self._pool.submit(work).result))


def _nothing() -> None:
    """The rows of a lot that is not read by columns."""
