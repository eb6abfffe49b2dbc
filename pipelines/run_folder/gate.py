"""A gate that everything passes that appears in a run directory, and that is closed when a job is left half way."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class ClosedError(BaseException):
    """Ends a thread that goes on writing; no Exception, which would pass for the failure of a part."""


class Gate:
    """Open until it is closed for good; of use where threads of one process write."""

    def __init__(self) -> None:
        self._open, self._passing = True, threading.Lock()

    def close(self) -> None:
        """Lets nothing more pass; waits for what is passing, such as a file that is being given its name."""
        with self._passing:
            self._open = False

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Lets one thread at a time do something that others see.

        Raises:
            ClosedError: the gate is closed.
        """
        with self._passing:
            self.check()
            yield

    def check(self) -> None:
        """Ends a thread for which it is too late.

        Raises:
            ClosedError: the gate is closed.
        """
        if not self._open:
            raise ClosedError
