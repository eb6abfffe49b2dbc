"""The one error of this package that a user can cause and mend."""

from __future__ import annotations


class VectorsError(ValueError):
    """Word vectors could not be read, fetched or stored; the message says what to do."""
