"""What this package raises: for what its user can put right, and for a model or device that fails on everything."""

from __future__ import annotations

import errno

NO_RESOURCES = (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)


class AugmentError(ValueError):
    """Something the user gave cannot be used; the message says what was expected, found, and what to do."""


class ModelFailedError(RuntimeError):
    """The masked LM fails on a text that is known to be good: no text is to blame, and nothing is rejected."""


class DeviceLostError(ModelFailedError):
    """The same after an error of CUDA, which never leaves the process it happened in: only a fresh one can go on."""


def is_of_machine(error: Exception) -> bool:
    """Whether the machine ran out of memory, threads or open files, so that no file is to blame.

    Args:
        error: what a library raised while it read files.
    """
    if isinstance(error, RuntimeError):  # Python's own of threads, torch's of memory
        return any(word in str(error).lower() for word in ("thread", "out of memory", "allocate memory"))
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in NO_RESOURCES)
