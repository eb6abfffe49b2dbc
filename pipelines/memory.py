"""Memory of long-lived workers."""

from __future__ import annotations

import ctypes
import sys


def return_free_memory() -> None:
    """Gives memory that was freed back to the system, where the C library can.

    Tensors of ever other sizes leave glibc's heap in pieces, so that a worker grows by hundreds of MB over hours
    though it holds nothing more.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl has none
        if trim is not None:
            trim(0)
