"""One writer for a run directory: a second job is refused, naming host and process (design section 4)."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.run_folder.lease import LOCK, HeldError, WriterLock, leased, refusal, wait_until_free
from pipelines.run_folder.storage import Storage, remove_folders, unwritten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)
OR_ELSE = ", or choose another --out"  # of those who may
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)


def _say_nothing(_text: str) -> None:
    """For callers without a reporter."""


@contextmanager
def only_writer(
    storage: Storage, say: Callable[[str], None] = _say_nothing, or_else: str = OR_ELSE
) -> Iterator[WriterLock]:
    """Holds the right to write into a run directory, which is made if it is missing.

    On a local disk the kernel ties the lock to this process, so a killed job leaves none behind. In an object
    store, and on file systems without locks, it is a lease (`pipelines.run_folder.lease`): after a kill it lapses
    within about a minute. What writers left half-written is cleared, before and after; a directory that was made for
    nothing is removed again.

    Args:
        storage: the run directory.
        say: is told if another job's lease has to lapse first.
        or_else: what the user can do but wait, behind a comma.

    Yields:
        The lock; its `check` tells whether it was lost, and is to be called now and then.

    Raises:
        UserError: another job holds it.
        JobError: a lease was lost; what this job was doing is ended.
    """
    made = storage.missing_folders()
    storage.create()
    with ExitStack() as stack:
        with _hinting(or_else):
            lock = stack.enter_context(_locked(storage, say))
        storage.clear_partial()
        try:
            yield lock
        finally:
            if lock.lost is None:
                storage.clear_partial()
                remove_unused(storage, made)


def remove_unused(storage: Storage, made: list[Path]) -> None:
    """Removes a directory in which nothing came to be but its lock, which must still be held.

    Args:
        storage: the directory.
        made: what of its path was made for it, the innermost first; nothing else is removed.
    """
    if made and storage.names() == [LOCK]:
        storage.remove(LOCK)
        remove_folders(made)


def refuse_if_held(storage: Storage, or_else: str = OR_ELSE) -> None:
    """Refuses a directory another job works in; leaves nothing there.

    Args:
        storage: the run directory; it need not exist.
        or_else: as of `only_writer`.

    Raises:
        UserError: another job holds its lock.
    """
    try:
        with _hinting(or_else), (storage.local_folder() / LOCK).open(encoding="utf-8") as stream:
            if not _lock(storage, stream, fcntl.LOCK_SH):  # two that look do not disturb each other
                wait_until_free(storage, _say_nothing)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # nobody's yet, or storage.create() says what is wrong


@contextmanager
def _hinting(or_else: str) -> Iterator[None]:
    """Adds what else can be done to a refusal."""
    try:
        yield
    except HeldError as error:
        raise UserError(f"{error}{or_else}") from error.__cause__


@contextmanager
def _locked(storage: Storage, say: Callable[[str], None]) -> Iterator[WriterLock]:
    if (stream := _kernel_lock(storage) if storage.is_local else None) is not None:
        with stream:
            yield WriterLock()
    else:
        with leased(storage, say) as lease:
            yield lease


def _kernel_lock(storage: Storage) -> IO[str] | None:
    """The lock file, locked and with the holder's name in it; None where the file system has no locks."""
    place = storage.local_folder() / LOCK
    try:
        stream = place.open("a+", encoding="utf-8")
        if not _lock(storage, stream, fcntl.LOCK_EX):
            return None
        if not place.exists() or not os.path.samestat(os.fstat(stream.fileno()), place.stat()):
            raise HeldError(refusal(storage, None))  # its holder has just removed an unused directory
        os.ftruncate(stream.fileno(), 0)
        # Unbuffered: what a full disk refuses is not tried again when the file is closed.
        os.write(stream.fileno(), json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode())
    except PermissionError as error:
        raise HeldError(
            f"{storage.display(LOCK)}: expected a lock file that can be written to, found one of another user's; ask "
            "for access"
        ) from error
    except OSError as error:
        raise unwritten(storage.display(LOCK), error) from error
    return stream


def _lock(storage: Storage, stream: IO[str], kind: int) -> bool:
    """Takes the kernel's lock on a file; False where the file system has none."""
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        if error.errno in HELD:
            raise HeldError(refusal(storage, storage.read_json(LOCK))) from error
        raise
    return True
