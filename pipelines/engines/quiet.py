"""Keeps a library's native chatter off the terminal, into a log."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def native_stderr_to(log: Callable[[str], None]) -> Iterator[None]:
    """Sends what native code writes to file descriptor 2 into a log; Python's own stderr stays on the terminal.

    Ray's C++ half warns there, whatever Python's logging is set to; `ray_start` sends Ray's Python warnings there, too.

    Args:
        log: is given all of it at the end, if there was any.
    """
    sys.stderr.flush()
    python_stderr, terminal = sys.stderr, os.dup(2)
    with tempfile.TemporaryFile("w+b") as caught, os.fdopen(terminal, "w", buffering=1, errors="replace") as kept:
        os.dup2(caught.fileno(), 2)
        if _writes_to_descriptor_2(python_stderr):
            sys.stderr = kept
        try:
            yield
        finally:
            sys.stderr = python_stderr
            os.dup2(kept.fileno(), 2)
            caught.seek(0)
            text = caught.read().decode(errors="replace")
            if text.strip():
                log(text)


def _writes_to_descriptor_2(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
