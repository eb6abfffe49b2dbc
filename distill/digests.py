"""Digests of shards, read once: a file of the same size and time of change as before is not read again.

A process remembers what it has hashed.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from distill.stores import reading

if TYPE_CHECKING:
    from pyarrow import fs

HASH_BLOCK = 8 << 20  # bytes read at a time
SETTLED = 2 * 10**9  # nanoseconds; a file that changed more recently may change again within its clock's tick

Known = tuple[int, int, str]  # bytes, time of change in nanoseconds, sha256

_known: dict[str, Known] = {}


def file_sha256(filesystem: fs.FileSystem, path: str) -> str:
    """The sha256 of a file, which is read unless its digest is known.

    Args:
        filesystem: where it is.
        path: its path there.

    Raises:
        DistillError: it cannot be read.
    """
    name = f"{filesystem.type_name}:{path}"
    with reading(f"a whole shard at {path}"):
        info = filesystem.get_file_info(path)
        known = _known.get(name)
        if known is not None and known[:2] == (info.size, info.mtime_ns):
            return known[2]
        digest = hashlib.sha256()
        with filesystem.open_input_stream(path) as stream:
            while block := stream.read(HASH_BLOCK):
                digest.update(block)
    found = digest.hexdigest()
    if info.mtime_ns is not None and time.time_ns() - info.mtime_ns > SETTLED:
        _known[name] = (info.size, info.mtime_ns, found)
    return found
