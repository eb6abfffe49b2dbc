"""Work behind the training loop: one call at a time in a thread, whose error comes where it is next looked for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Behind:
    """Runs calls in a thread, one after the other; after one that failed nothing is run any more.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, call: Callable[[], None]) -> None:
        """Waits for the last call, then starts this one.

        Raises:
            BaseException: what the last call raised.
        """
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(call,), name=self._name, daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Raises what a call raised, without waiting for one that runs."""
        if self._error is not None:
            raise self._error

    def wait(self) -> None:
        """Waits for the last call, and raises what it raised; may be called from any thread."""
        self.close()
        self.look()

    def close(self) -> None:
        """Waits for the last call and raises nothing."""
        if (thread := self._thread) is not None:
            thread.join()

    def _run(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            self._error = error
