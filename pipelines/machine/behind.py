"""Work that others do not wait for, in a thread of its own."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

MOST_BEHIND = 2


class Behind:
    """Calls a function in a thread, in the order of the calls.

    What it raises is raised by a later call or at the end of the block, which waits for all calls. Where the block ends
    by an exception, calls that were not begun are dropped.

    Args:
        function: Is called.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self._pool = function, ThreadPoolExecutor(1)
        self._calls: deque[Future[Any]] = deque()

    def __enter__(self) -> Self:
        return self

    def __call__(self, *arguments: object) -> None:
        """Calls the function once the calls before this one are done, of which it waits for all but MOST_BEHIND."""
        while len(self._calls) > MOST_BEHIND:
            self._calls.popleft().result()
        self._calls.append(self._pool.submit(self._function, *arguments))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while kind is None and self._calls:
                self._calls.popleft().result()
        finally:
            self._pool.shutdown(cancel_futures=True)
