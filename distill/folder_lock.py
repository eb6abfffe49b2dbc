"""One writer for a folder, by an advisory lock that dies with its process."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT)  # waiting does not help


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Holds `folder` for this process.

    Raises:
        DistillError: it cannot be written to, or another process holds it; the message names host and process.
    """
    with _opened(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise DistillError(
                f"expected {folder} to be free; it is in use by {file.read().strip() or 'another process'}. Wait "
                "for it, stop it, or choose another folder."
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _opened(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / ".lock").open("a+")
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        raise DistillError(
            f"expected a folder that can be written to at {folder}; found: {error.strerror}. Choose another one."
        ) from error
