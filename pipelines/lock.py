"""One writer for a run directory: a second job is refused, naming host and process (design section 4)."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.storage import Storage

LOCK = ".lock"
STALE_AFTER = 12 * 3600  # seconds after which a lock in an object store, where none can be tied to a process, lapses


@contextmanager
def only_writer(storage: Storage) -> Iterator[None]:
    """Holds the right to write into a run directory.

    On a local disk the kernel ties the lock to this process, so a killed job leaves none behind. In an object
    store it is an object that names the holder; it is removed at the end, and after a kill it has to be removed by
    hand or lapses after twelve hours.

    Args:
        storage: the run directory; made if it is missing.

    Raises:
        UserError: another job holds it.
    """
    storage.create()
    if storage.is_local:
        with _kernel_lock(storage):
            yield
    else:
        with _lock_object(storage):
            yield


@contextmanager
def _kernel_lock(storage: Storage) -> Iterator[None]:
    import fcntl

    with (storage.local_folder() / LOCK).open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(_refusal(storage, _holder(stream))) from error
        stream.seek(0)
        stream.truncate()
        json.dump(_myself(), stream)
        stream.flush()
        yield


@contextmanager
def _lock_object(storage: Storage) -> Iterator[None]:
    held = storage.read_json(LOCK)
    if held and time.time() - float(held.get("time", 0)) < STALE_AFTER:
        raise UserError(f"{_refusal(storage, held)}; if that job is gone, delete {storage.display(LOCK)}")
    myself = {**_myself(), "time": time.time()}
    storage.write_json(LOCK, myself)
    if storage.read_json(LOCK) != myself:
        raise UserError(_refusal(storage, storage.read_json(LOCK) or {}))
    try:
        yield
    finally:
        storage.remove(LOCK)


def _myself() -> dict[str, object]:
    return {"host": socket.gethostname(), "process": os.getpid()}


def _holder(stream: IO[str]) -> dict[str, object]:
    stream.seek(0)
    try:
        return dict(json.load(stream))
    except ValueError:
        return {}


def _refusal(storage: Storage, holder: dict[str, object]) -> str:
    return (
        f"{storage.display()}: expected to be its only writer, found process {holder.get('process', 'unknown')} on "
        f"host {holder.get('host', 'unknown')} at work on it; wait for it, or choose another --out"
    )
