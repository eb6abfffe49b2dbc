"""Helpers: a place without kernel locks, another host's lease, and a clock that the test moves."""

from __future__ import annotations

import errno
import fcntl
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.run_folder import lease
from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

THEIRS = {"host": "other", "process": 7, "machine": "another", "started": 1, "token": "t", "time": 1.0}


def fail_with(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the kernel's locks fail."""

    def flock(*_: object) -> None:
        raise OSError(number, "as told")

    monkeypatch.setattr(fcntl, "flock", flock)


def place_without_locks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A run directory on a file system without locks; its lease is refreshed all the time."""
    fail_with(errno.ENOSYS, monkeypatch)
    for name, seconds in (("REFRESH_EVERY", 0.01), ("RETRY_EVERY", 0.01), ("SETTLE", 0), ("LOOK_EVERY", 0.01)):
        monkeypatch.setattr(lease, name, seconds)
    return Storage(str(folder))


@dataclass
class Clock:
    """Stands in for the module `time`: waiting takes no time."""

    now: float = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The lease's time, which the test moves."""
    clock = Clock()
    monkeypatch.setattr(lease, "time", clock)
    return clock


def held(storage: Storage) -> dict[str, object]:
    """The lease as it stands there."""
    return json.loads(storage.read_bytes(".lock"))


def until(condition: Callable[[], object]) -> None:
    """Waits for something that has to come."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)
