"""The one error this package raises for what its user can put right."""

from __future__ import annotations


class AugmentError(ValueError):
    """Something the user gave cannot be used; the message says what was expected, found, and what to do."""
