"""Memory of long-lived processes, as glibc manages it; other C libraries are left alone."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
KEPT_BYTES = 2**30


def return_free_memory() -> None:
    """Gives memory that was freed back to the system, where the C library can.

    Tensors of ever other sizes leave glibc's heap in pieces, so that a worker grows by hundreds of MB over hours
    though it holds nothing more.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl has none
        if trim is not None:
            trim(0)


def keep_freed_memory() -> None:
    """Lets what was freed be used again and not go back to the system, for training on a CPU.

    Gradients of an embedding table are made anew in every step. Blocks as large come straight from the system, which
    clears them page by page: a tenth of a small student's step.
    """
    if sys.platform == "linux":
        options = getattr(ctypes.CDLL(None), "mallopt", None)
        if options is not None:
            options(M_MMAP_THRESHOLD, KEPT_BYTES)
            options(M_TRIM_THRESHOLD, KEPT_BYTES)
