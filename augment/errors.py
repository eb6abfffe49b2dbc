"""What this package raises: for what its user can put right, and for a model or device that fails on everything."""

from __future__ import annotations


class AugmentError(ValueError):
    """Something the user gave cannot be used; the message says what was expected, found, and what to do."""


class ModelFailedError(RuntimeError):
    """The masked LM fails on a text that is known to be good: no text is to blame, and nothing is rejected."""


class DeviceLostError(ModelFailedError):
    """The same after an error of CUDA, which never leaves the process it happened in: only a fresh one can go on."""
