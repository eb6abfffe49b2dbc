"""Signals to stop while a model trains: noted at once, answered when what was done is kept."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from distill.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object]

STOPS = (signal.SIGINT, signal.SIGTERM)
# In these seconds a second signal is the first one again: `timeout` and wrappers pass it on to a whole group.
SAME_SECONDS = 1.0


@contextmanager
def stops_noted(what: str) -> Iterator[Callable[[], bool]]:
    """Keeps Ctrl-C and SIGTERM from ending the work at once; a second one does.

    At the end the handlers that were there before answer the signal. Where none of Python's is there, as in a
    program that uses this as a library, and beside the main thread, all stays as it is.

    Args:
        what: is finished first, for the message.

    Yields:
        Whether a signal came: to be asked at places where the work can end.

    Raises:
        StoppedError: the work ended because it, or another process of the run, was asked to stop, and the handlers
            let that pass.
    """
    stops = _Stops(what)
    stopped: StoppedError | None = None
    stops.set(stops.note)
    try:
        yield lambda: stops.number is not None
    except StoppedError as error:
        stopped = error
    finally:
        stops.set(None)
    if stopped is not None or stops.number is not None:
        stops.answer()
    if stopped is not None:
        raise stopped


class _Stops:
    """The signals that came, and the handlers that were there before.

    Args:
        what: is finished first, for the message.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.number: int | None = None
        self._since = 0.0
        self._before: dict[int, Handler] = {}
        if threading.current_thread() is threading.main_thread():
            found = {int(number): signal.getsignal(number) for number in STOPS}
            self._before = {number: handler for number, handler in found.items() if callable(handler)}

    def set(self, handler: Handler | None) -> None:
        """Sets a handler for all of them; None for those that were there before."""
        for number, before in self._before.items():
            signal.signal(number, handler or before)

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler meanwhile."""
        if self.number is None:
            self.number, self._since = number, time.monotonic()
            if os.environ.get("RANK", "0") == "0":  # written past the buffers, which may be in use just now
                os.write(2, f"tinyaug: stopping after this {self.what}; once more to stop at once\n".encode())
        elif time.monotonic() - self._since > SAME_SECONDS:
            self._before[number](number, frame)

    def answer(self) -> None:
        """Does what the first signal would have done at once; SIGTERM stands for one that another process got."""
        number = signal.SIGTERM if self.number is None else self.number
        if number in self._before:
            self._before[number](number, None)
