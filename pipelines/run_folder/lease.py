"""A lease on a run directory where the kernel has no locks: a file that names its holder, who refreshes it.

Neither pyarrow's object stores nor network file systems without locks offer a conditional write, so a lease is won by
writing it, letting others' writes settle, and reading it back. The clock of the place where a lease lies and this
process's monotonic clock decide whether it has lapsed; clocks of two hosts are never compared.

Two threads keep a lease: one calls the store, which may hang; the other calls nothing and watches the time.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pipelines.errors import JobError, UserError
from pipelines.run_folder.process_mark import lives_here, mark_of_this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from pipelines.run_folder.storage import Storage

LOCK = ".lock"
REFRESH_EVERY = 15.0  # seconds
RETRY_EVERY = 3.0  # seconds between attempts after a refresh that failed
GIVE_UP_AFTER = 40.0  # seconds without a refresh after which the holder stops: well before the lease lapses
LAPSES_AFTER = 60.0  # seconds without a refresh after which another job may take the lease over
SETTLE = 2.0  # seconds between writing a lease and reading it back
LOOK_EVERY = 1.0  # seconds between looks at another job's lease, and at the age of one's own
END_WAIT = 5.0  # seconds that the end of a job waits for a refresh that is under way
TROUBLE = (OSError, JobError, UserError)  # a store that is down may come back in time
ALARM = signal.SIGURG  # wakes the main thread; the system ignores it where nobody handles it


class HeldError(UserError):
    """A folder that this job may not write into; `lock` adds what else the user can do."""


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
    """A lease that is refreshed for as long as the job lives, whatever the job does.

    Args:
        storage: the run directory.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.owner: dict[str, Any] = {**mark_of_this_process(), "token": uuid.uuid4().hex}
        self._refreshed = time.monotonic()
        self._trouble = "no answer"
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=target, name="lease", daemon=True) for target in (self._keep, self._watch)
        ]

    def take(self, say: Callable[[str], None]) -> None:
        """Waits until the lease is free, and takes it; `end` has to follow even if this fails.

        Args:
            say: is told once if there is something to wait for.

        Raises:
            UserError: another job holds it, or took it at the same moment.
            JobError: the store took so long that another job may hold it by now.
        """
        wait_until_free(self.storage, say)
        self._refreshed = time.monotonic()
        self._write()
        time.sleep(SETTLE)
        found = self.storage.read_json(LOCK)
        if not self._is_own(found):
            raise HeldError(refusal(self.storage, found))
        self._give_up_if_late()
        self.check()
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Ends the refreshing, and removes a lease that is still this job's own; one that cannot be removed lapses."""
        self._ended.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(END_WAIT)
        if self.lost is not None or any(thread.is_alive() for thread in self._threads):
            return  # a store that hangs would hang the end of the job, too
        with suppress(*TROUBLE):
            if self._is_own(self.storage.read_json(LOCK)) and not self._is_late():
                self.storage.remove(LOCK)

    def _keep(self) -> None:
        """Refreshes until the end, or until the lease is lost."""
        pause = REFRESH_EVERY
        while self.lost is None and not self._ended.wait(pause):
            try:
                self._refresh()
                pause = REFRESH_EVERY
            except TROUBLE as error:
                pause, self._trouble = RETRY_EVERY, str(error)

    def _refresh(self) -> None:
        began, held = time.monotonic(), self.storage.read_json(LOCK)
        if held is None:
            time.sleep(LOOK_EVERY)  # network file systems may lack for a moment what is being replaced
            held = self.storage.read_json(LOCK)
        if not self._is_own(held):
            found = f"that of {named(held)}" if held else "none"
            self.lost = (
                f"{self.storage.display(LOCK)}: expected this job's own lease, found {found}; what was finished is "
                "kept: once no other job is at work there, run the same command again"
            )
        elif not (self._is_late() or self._ended.is_set()):  # a write that comes late would replace another's lease
            self._write()
            self._refreshed, self._trouble = began, "no answer"

    def _watch(self) -> None:
        """Looks at the lease's age; tells the main thread that it is lost until the job ends."""
        while not self._ended.wait(LOOK_EVERY):
            self._give_up_if_late()
            if self.lost is not None:
                signal.pthread_kill(threading.main_thread().ident or 0, ALARM)

    def _give_up_if_late(self) -> None:
        if self.lost is None and self._is_late():
            self.lost = (
                f"{self.storage.display(LOCK)}: expected to refresh this job's lease, found that it failed for "
                f"{time.monotonic() - self._refreshed:.0f} s ({self._trouble}); what was finished is kept: check "
                "network and access, and run the same command again"
            )

    def _is_late(self) -> bool:
        return time.monotonic() - self._refreshed > GIVE_UP_AFTER

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
    try:
        lease.take(say)
        with _alarmed(lease):
            yield lease
    except _LostError:
        raise JobError(str(lease.lost)) from None
    finally:
        lease.end()


@contextmanager
def _alarmed(lease: Lease) -> Iterator[None]:
    """Lets a lost lease end what the main thread is doing: again and again, where somebody swallowed the exception."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no handler can be set here
        return

    def alarm(_number: int, _frame: FrameType | None) -> None:
        if lease.lost is not None and not _is_being_handled():
            raise _LostError

    before = signal.signal(ALARM, alarm)
    try:
        yield
    finally:
        signal.signal(ALARM, before)


def _is_being_handled() -> bool:
    """Whether the job is ending because of a lost lease: another exception would interrupt the clearing up."""
    error = sys.exception()
    while error is not None and not isinstance(error, _LostError):
        error = error.__context__
    return error is not None


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
        raise HeldError(refusal(storage, held))
    lapses = time.monotonic() + LAPSES_AFTER - _age(storage)
    if (left := lapses - time.monotonic()) > 0:
        say(f"waiting for the lease of {named(held)} to lapse, at most {left:.0f} s")
    while (left := lapses - time.monotonic()) > 0:
        time.sleep(min(LOOK_EVERY, left))
        now = storage.read_json(LOCK)
        if now is None:
            return
        if now != held:
            raise HeldError(refusal(storage, now))


def _age(storage: Storage) -> float:
    """Seconds since the lease was refreshed, by the clock of the place where it lies; 0 if unknown."""
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
    found = f"{named(holder)} at work on it"
    return f"{storage.display()}: expected to be its only writer, found {found}; wait for it"
