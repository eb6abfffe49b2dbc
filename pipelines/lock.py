"""One writer for a run directory: a second job is refused, naming host and process (design section 4)."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from pipelines.errors import JobError, UserError
from pipelines.storage import NO_SPACE, remove_folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipelines.storage import Storage

LOCK = ".lock"
STALE_AFTER = 12 * 3600  # seconds since it was refreshed after which a lock that no kernel ties to a process lapses
REFRESH_EVERY = 60  # seconds
HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)


@dataclass
class WriterLock:
    """The right to write into a run directory.

    Args:
        storage: the run directory.
        owner: what the lock file says of this job; None where the kernel holds the lock.
        lost: another job has taken it over.
    """

    storage: Storage
    owner: dict[str, Any] | None = None
    lost: bool = False
    _refreshed: float = field(default_factory=time.monotonic)

    def refresh(self) -> None:
        """Keeps a lock file from lapsing while the job lives; to be called as parts finish.

        Raises:
            JobError: another job has taken it over.
        """
        if self.owner is None or time.monotonic() - self._refreshed < REFRESH_EVERY:
            return
        held = self.storage.read_json(LOCK)
        if not self.is_own(held):
            self.lost = True
            raise JobError(
                f"{self.storage.display(LOCK)}: expected this job's own lock, found "
                f"{'that of ' + _named(held) if held else 'none'}; what was finished is kept: once no other job is at "
                "work there, run the same command again"
            )
        self.storage.write_json(LOCK, {**self.owner, "time": time.time()})
        self._refreshed = time.monotonic()

    def release(self) -> None:
        """Removes a lock file that is still this job's own."""
        if self.is_own(self.storage.read_json(LOCK)):
            self.storage.remove(LOCK)

    def is_own(self, held: dict[str, Any] | None) -> bool:
        """Whether a lock file is this job's.

        Args:
            held: what it says; None for no file.
        """
        return held is not None and self.owner is not None and held.get("token") == self.owner["token"]


@contextmanager
def only_writer(storage: Storage) -> Iterator[WriterLock]:
    """Holds the right to write into a run directory, which is made if it is missing.

    On a local disk the kernel ties the lock to this process, so a killed job leaves none behind. In an object
    store, and on file systems without locks, it is a file that names the holder; it is refreshed by the holder and
    removed at the end, and after a kill it has to be removed by hand or lapses after twelve hours. What writers left
    half-written is cleared, before and after; a directory that was made for nothing is removed again.

    Args:
        storage: the run directory.

    Yields:
        The lock; its `refresh` has to be called now and then.

    Raises:
        UserError: another job holds it.
    """
    made = storage.missing_folders()
    storage.create()
    with _locked(storage) as lock:
        storage.clear_partial()
        try:
            yield lock
        finally:
            if not lock.lost:
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


def refuse_if_held(storage: Storage) -> None:
    """Refuses a directory another job works in, before anything costly is done; writes nothing.

    Args:
        storage: the run directory; it need not exist.

    Raises:
        UserError: another job holds its lock.
    """
    if not storage.is_local:
        _refuse_holder(storage)
        return
    import fcntl

    try:
        with (storage.local_folder() / LOCK).open(encoding="utf-8") as stream:
            if not _lock(storage, stream, fcntl.LOCK_SH):  # two that look do not disturb each other
                _refuse_holder(storage)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # nobody's yet, or storage.create() says what is wrong


@contextmanager
def _locked(storage: Storage) -> Iterator[WriterLock]:
    if storage.is_local:
        import fcntl

        with _open_lock(storage) as stream:
            if _lock(storage, stream, fcntl.LOCK_EX):
                if not _is_there(storage, stream):
                    raise UserError(_refusal(storage, None))
                _sign(storage, stream)
                yield WriterLock(storage)
                return
    with _lock_file(storage) as lock:
        yield lock


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
        os.write(stream.fileno(), json.dumps(_myself()).encode())
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
            raise UserError(_refusal(storage, storage.read_json(LOCK))) from error
        raise
    return True


@contextmanager
def _lock_file(storage: Storage) -> Iterator[WriterLock]:
    _refuse_holder(storage)
    owner = {**_myself(), "token": uuid.uuid4().hex}
    lock = WriterLock(storage, owner)
    storage.write_json(LOCK, {**owner, "time": time.time()})
    found = storage.read_json(LOCK)
    if not lock.is_own(found):
        raise UserError(_refusal(storage, found))
    try:
        yield lock
    finally:
        lock.release()


def _refuse_holder(storage: Storage) -> None:
    """Refuses if a lock file says that another job has been at work of late."""
    held = storage.read_json(LOCK)
    since = held.get("time") if held else None
    if isinstance(since, (int, float)) and time.time() - since < STALE_AFTER:
        raise UserError(f"{_refusal(storage, held)}; if that job is gone, delete {storage.display(LOCK)}")


def _myself() -> dict[str, object]:
    return {"host": socket.gethostname(), "process": os.getpid()}


def _named(holder: dict[str, Any] | None) -> str:
    holder = holder or {}
    return f"process {holder.get('process', 'unknown')} on host {holder.get('host', 'unknown')}"


def _refusal(storage: Storage, holder: dict[str, Any] | None) -> str:
    return (
        f"{storage.display()}: expected to be its only writer, found {_named(holder)} at work on it; wait for it, or "
        "choose another --out"
    )
