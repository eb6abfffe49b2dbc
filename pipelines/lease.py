"""A lease on a run directory where the kernel has no locks: a file that names its holder, who refreshes it.

Neither pyarrow's object stores nor network file systems without locks offer a conditional write, so a lease is won by
writing it, letting others' writes settle, and reading it back. Whether a lease has lapsed is told by the clock of the
place where it lies and by this process's monotonic clock; clocks of two hosts are never compared.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.errors import JobError, UserError
from pipelines.process_mark import lives_here, mark_of_this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from pipelines.storage import Storage

LOCK = ".lock"
REFRESH_EVERY = 15.0  # seconds
RETRY_EVERY = 3.0  # seconds between attempts after a refresh that failed
GIVE_UP_AFTER = 40.0  # seconds without a refresh after which the holder stops: well before the lease lapses
LAPSES_AFTER = 60.0  # seconds without a refresh after which another job may take the lease over
SETTLE = 2.0  # seconds between writing a lease and reading it back
LOOK_EVERY = 1.0  # seconds between looks at another job's lease
ALARM = signal.SIGURG  # wakes the main thread; the system ignores it where nobody handles it


class WriterLock:
    """The right to write into a run directory; the kernel's locks are never lost.

    Attributes:
        lost: why the right was lost; None while it holds.
    """

    lost: str | None = None

    def check(self) -> None:
        """Stops a job that lost its right to write.

        Raises:
            JobError: another job took it over, or it could not be kept.
        """
        if self.lost is not None:
            raise JobError(self.lost)


class Lease(WriterLock):
    """A lease, refreshed by a thread of its own for as long as the job lives.

    Args:
        storage: the run directory.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.owner: dict[str, Any] = {**mark_of_this_process(), "token": uuid.uuid4().hex}
        self._refreshed = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def take(self, say: Callable[[str], None]) -> None:
        """Waits until the lease is free, and takes it.

        Args:
            say: is told once if there is something to wait for.

        Raises:
            UserError: another job holds it, or took it at the same moment.
        """
        wait_until_free(self.storage, say)
        self._write()
        time.sleep(SETTLE)
        found = self.storage.read_json(LOCK)
        if not self._is_own(found):
            raise UserError(refusal(self.storage, found))
        self._thread.start()

    def end(self) -> None:
        """Ends the refreshing, and removes a lease that is still this job's own."""
        self._ended.set()
        self._thread.join()
        if self.lost is None and self._is_own(self.storage.read_json(LOCK)):
            self.storage.remove(LOCK)

    def _keep(self) -> None:
        """Refreshes until the end; when the lease is lost, the main thread is told."""
        pause = REFRESH_EVERY
        while not self._ended.wait(pause):
            pause, trouble = REFRESH_EVERY, ""
            try:
                self._refresh()
            except (OSError, JobError, UserError) as error:  # a store that is down may come back in time
                pause, trouble = RETRY_EVERY, str(error)
            unrefreshed = time.monotonic() - self._refreshed
            if self.lost is None and trouble and unrefreshed > GIVE_UP_AFTER:
                self.lost = (
                    f"{self.storage.display(LOCK)}: expected to refresh this job's lease, found that it failed for "
                    f"{unrefreshed:.0f} s ({trouble}); what was finished is kept: check network and access, and run "
                    "the same command again"
                )
            if self.lost is not None:
                signal.pthread_kill(threading.main_thread().ident or 0, ALARM)
                return

    def _refresh(self) -> None:
        began, held = time.monotonic(), self.storage.read_json(LOCK)
        if held is None:
            time.sleep(LOOK_EVERY)  # network file systems may lack for a moment what is being replaced
            held = self.storage.read_json(LOCK)
        if self._is_own(held):
            self._write()
            self._refreshed = began
            return
        found = f"that of {named(held)}" if held else "none"
        self.lost = (
            f"{self.storage.display(LOCK)}: expected this job's own lease, found {found}; what was finished is kept: "
            "once no other job is at work there, run the same command again"
        )

    def _write(self) -> None:
        self.storage.write_json(LOCK, {**self.owner, "time": time.time()})  # the time is for people to read

    def _is_own(self, held: dict[str, Any] | None) -> bool:
        return held is not None and held.get("token") == self.owner["token"]


class _LostError(BaseException):
    """Raised in the main thread wherever it is; no Exception, which would pass for the failure of a part."""


@contextmanager
def leased(storage: Storage, say: Callable[[str], None]) -> Iterator[Lease]:
    """Holds the lease of a run directory.

    Args:
        storage: the run directory.
        say: is told once if another job's lease has to lapse first.

    Yields:
        The lease. Outside the main thread its `check` has to be called now and then.

    Raises:
        UserError: another job holds it.
        JobError: it was lost meanwhile.
    """
    lease = Lease(storage)
    lease.take(say)
    try:
        with _alarmed(lease):
            yield lease
    except _LostError:
        raise JobError(str(lease.lost)) from None
    finally:
        lease.end()


@contextmanager
def _alarmed(lease: Lease) -> Iterator[None]:
    """Lets a lost lease end what the main thread is doing, once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no handler can be set here
        return
    told = False

    def alarm(_number: int, _frame: FrameType | None) -> None:
        nonlocal told
        if lease.lost is not None and not told:
            told = True
            raise _LostError

    before = signal.signal(ALARM, alarm)
    try:
        yield
    finally:
        signal.signal(ALARM, before)


def wait_until_free(storage: Storage, say: Callable[[str], None]) -> None:
    """Returns once nobody holds a run directory's lease: at once where its holder is known to be gone.

    A lease that may still be held is watched: one that is refreshed meanwhile is refused, one that is not lapses.

    Args:
        storage: the run directory.
        say: is told once if there is something to wait for.

    Raises:
        UserError: another job holds it.
    """
    held = storage.read_json(LOCK)
    lives = lives_here(held) if held is not None else False
    if held is None or lives is False:
        return
    if lives:
        raise UserError(refusal(storage, held))
    lapses = time.monotonic() + LAPSES_AFTER - _age(storage)
    if (left := lapses - time.monotonic()) > 0:
        say(f"waiting for the lease of {named(held)} to lapse, at most {left:.0f} s")
    while (left := lapses - time.monotonic()) > 0:
        time.sleep(min(LOOK_EVERY, left))
        now = storage.read_json(LOCK)
        if now is None:
            return
        if now != held:
            raise UserError(refusal(storage, now))


def _age(storage: Storage) -> float:
    """Seconds since the lease was refreshed, by the clock of the place where it lies; 0 where that cannot be told."""
    probe = f".probe-{uuid.uuid4().hex}"
    try:
        storage.write_bytes(probe, b"now")
        try:
            return max(0.0, storage.written(probe) - storage.written(LOCK))
        finally:
            storage.remove(probe)
    except (OSError, JobError):
        return 0.0


def named(holder: dict[str, Any] | None) -> str:
    """How a holder is named to the user.

    Args:
        holder: what its lock file says.
    """
    holder = holder or {}
    return f"process {holder.get('process', 'unknown')} on host {holder.get('host', 'unknown')}"


def refusal(storage: Storage, holder: dict[str, Any] | None) -> str:
    """What is said to a second writer.

    Args:
        storage: the run directory.
        holder: what its lock file says.
    """
    return (
        f"{storage.display()}: expected to be its only writer, found {named(holder)} at work on it; wait for it, or "
        "choose another --out"
    )
