"""One writer for a run directory: a second job is refused, naming host and process (design section 4)."""

from __future__ import annotations

import errno
import json
import os
import socket
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from pipelines.errors import JobError, UserError
from pipelines.run_folder.lease import LOCK, WriterLock, leased, refusal, wait_until_free
from pipelines.run_folder.storage import NO_SPACE, remove_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipelines.run_folder.storage import Storage

HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)


def _say_nothing(_text: str) -> None:
    """For callers without a reporter."""


@contextmanager
def only_writer(storage: Storage, say: Callable[[str], None] = _say_nothing) -> Iterator[WriterLock]:
    """Holds the right to write into a run directory, which is made if it is missing.

    On a local disk the kernel ties the lock to this process, so a killed job leaves none behind. In an object
    store, and on file systems without locks, it is a lease (`pipelines.run_folder.lease`): after a kill it lapses
    within about a minute. What writers left half-written is cleared, before and after; a directory that was made for
    nothing is removed again.

    Args:
        storage: the run directory.
        say: is told if another job's lease has to lapse first.

    Yields:
        The lock; its `check` tells whether it was lost, and is to be called now and then.

    Raises:
        UserError: another job holds it.
        JobError: a lease was lost; what this job was doing is ended.
    """
    made = storage.missing_folders()
    storage.create()
    with _locked(storage, say) as lock:
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


def refuse_if_held(storage: Storage, say: Callable[[str], None] = _say_nothing) -> None:
    """Refuses a directory another job works in, before anything costly is done; leaves nothing there.

    Args:
        storage: the run directory; it need not exist.
        say: is told if another job's lease has to lapse first.

    Raises:
        UserError: another job holds its lock.
    """
    if not storage.is_local:
        wait_until_free(storage, say)
        return
    import fcntl

    try:
        with (storage.local_folder() / LOCK).open(encoding="utf-8") as stream:
            if not _lock(storage, stream, fcntl.LOCK_SH):  # two that look do not disturb each other
                wait_until_free(storage, say)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # nobody's yet, or storage.create() says what is wrong


@contextmanager
def _locked(storage: Storage, say: Callable[[str], None]) -> Iterator[WriterLock]:
    if storage.is_local:
        import fcntl

        with _open_lock(storage) as stream:
            if _lock(storage, stream, fcntl.LOCK_EX):
                if not _is_there(storage, stream):
                    raise UserError(refusal(storage, None))
                _sign(storage, stream)
                yield WriterLock()
                return
    with leased(storage, say) as lease:
        yield lease


def _open_lock(storage: Storage) -> IO[str]:
    try:
        return (storage.local_folder() / LOCK).open("a+", encoding="utf-8")
    except PermissionError as error:
        raise UserError(
            f"{storage.display(LOCK)}: expected a lock file that can be written to, found one of another user's; ask "
            "for access, or choose another --out"
        ) from error
    except OSError as error:
        raise _unwritten(storage, error) from error


def _sign(storage: Storage, stream: IO[str]) -> None:
    """Writes the holder's name into a lock file, unbuffered: what a full disk refuses is not tried again at its end."""
    try:
        os.ftruncate(stream.fileno(), 0)
        os.write(stream.fileno(), json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode())
    except OSError as error:
        raise _unwritten(storage, error) from error


def _unwritten(storage: Storage, error: OSError) -> JobError:
    remedy = "free some space and run the same command again" if error.errno in NO_SPACE else "choose another --out"
    return JobError(f"{storage.display(LOCK)}: cannot be written: {error.strerror or error}; {remedy}")


def _is_there(storage: Storage, stream: IO[str]) -> bool:
    """Whether a lock that was opened is still the directory's: its holder may have removed an unused directory."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.stat(storage.local_folder() / LOCK))
    except FileNotFoundError:
        return False


def _lock(storage: Storage, stream: IO[str], kind: int) -> bool:
    """Takes the kernel's lock on a file; False where the file system has none."""
    import fcntl

    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        if error.errno in HELD:
            raise UserError(refusal(storage, storage.read_json(LOCK))) from error
        raise
    return True
