"""What this package raises: for what its user can put right, and for a model or device that fails on everything."""

from __future__ import annotations

import errno

SHOWN_REASONS = 5
NO_RESOURCES = (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)


class AugmentError(ValueError):
    """Something the user gave cannot be used; the message says what was expected, found, and what to do."""


class SkippedTextsWarning(UserWarning):
    """Texts were left out of a call with `errors="skip"`.

    Args:
        reasons: index of the text in the call -> why it cannot be worked on.
    """

    def __init__(self, reasons: dict[int, str]) -> None:
        shown = "; ".join(f"text {index}: {reason}" for index, reason in sorted(reasons.items())[:SHOWN_REASONS])
        more = f"; and {len(reasons) - SHOWN_REASONS} more" if len(reasons) > SHOWN_REASONS else ""
        super().__init__(f"skipped {len(reasons)} text{'s' if len(reasons) > 1 else ''}: {shown}{more}")
        self.reasons = reasons


class FailedExamplesError(Exception):
    """Examples the masked LM could not work on.

    Args:
        errors: number of the example -> what went wrong.
    """

    def __init__(self, errors: dict[int, str]) -> None:
        super().__init__(f"{len(errors)} examples failed")
        self.errors = errors


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
