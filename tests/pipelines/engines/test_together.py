"""A stage that runs beside the one whose shards it reads: what is ready is done, and one that is stopped ends both."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from pipelines.engines import EngineSettings, Failure, Follower, engine, run_parts, worker_count
from pipelines.errors import JobError, UserError
from pipelines.run_folder.records import Record
from tests.pipelines.engines.test_engines import Work

LONG = 90  # seconds until what never comes is waited for no more

pytestmark = pytest.mark.integration


def wait_until(found) -> None:
    deadline = time.monotonic() + LONG
    while not found():
        if time.monotonic() > deadline:
            raise TimeoutError("waited in vain")
        time.sleep(0.01)


def no_worker_is_left() -> bool:
    """Whether all processes of pools are gone, or go now."""
    children = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return not psutil.wait_procs([child for child in children if "spawn_main" in " ".join(child.cmdline())], timeout=5)[
        1
    ]


@dataclass(frozen=True)
class Leading(Work):
    """A stage whose parts end only once the follower has begun the one before."""

    def work(self, part: int) -> Record:
        record = super().work(part)
        wait_until(lambda: part == 0 or (Path(self.folder) / "after" / f"tries-{part - 1}").exists())
        return record


class Told:
    """What both stages came to, in order.

    Args:
        leading: parts of the first stage.
        needed: how many of them each part of the second one reads, from the first on.
    """

    def __init__(self, leading: int, needed: list[int]) -> None:
        self.order: list[tuple[str, int]] = []
        self.failed: dict[tuple[str, int], str] = {}
        self._whole, self._settled, self._leading, self._needed = set[int](), 0, leading, needed

    def first(self, done: Record | Failure) -> None:
        self._settled += 1
        if isinstance(done, Record):
            self._whole.add(done.part)
        self._told("first", done)

    def second(self, done: Record | Failure) -> None:
        self._told("second", done)

    def _told(self, stage: str, done: Record | Failure) -> None:
        if isinstance(done, Failure):
            self.failed[stage, done.part] = done.reason
        self.order.append((stage, done.part))

    def ready(self, part: int) -> bool:
        return self._whole >= set(range(self._needed[part]))

    def alone(self) -> bool:
        return self._settled == self._leading


def run_both(first: Work, second: Work, told: Told, settings: EngineSettings, workers: int | None = 2) -> None:
    parts = list(range(len(second.orders)))
    after = Follower(second, parts, EngineSettings("local", workers), told.second, told.ready, told.alone)
    run_parts(first, list(range(len(first.orders))), settings, told.first, after)


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "after").mkdir()
    return tmp_path


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("overlaps", [False, True])
def test_each_stage_does_its_parts_while_the_other_one_does(folder, workers, overlaps):
    """In this process without threads a part of the first stage could not wait for the second one."""
    first = (Leading if overlaps or workers == 2 else Work)(str(folder), ("",) * 6)
    told = Told(6, [1, 2, 3, 4, 5, 6])
    run_both(first, Work(str(folder / "after"), ("",) * 6), told, EngineSettings("local", workers, overlaps=overlaps))
    assert sorted(told.order) == [(stage, part) for stage in ("first", "second") for part in range(6)]
    for part in range(6):
        assert told.order.index(("second", part)) > told.order.index(("first", part))
    assert told.failed == {}
    assert no_worker_is_left()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_ready_is_done_though_a_part_before_failed(folder, workers):
    told = Told(6, [1, 2, 3, 4, 6])
    first, second = Work(str(folder), ("", "", "", "fail", "", "")), Work(str(folder / "after"), ("",) * 5)
    run_both(first, second, told, EngineSettings("local", workers, overlaps=True))
    assert told.failed == {("first", 3): "ValueError: failed as told"}
    assert {part for stage, part in told.order if stage == "first"} == set(range(6))
    assert {part for stage, part in told.order if stage == "second"} == {0, 1, 2}
    assert not list((folder / "after").glob("tries-[34]"))
    assert no_worker_is_left()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_part_that_kills_its_worker_takes_no_other_stage_with_it(folder, workers):
    told = Told(4, [1, 1, 2, 4])
    first, second = Leading(str(folder), ("",) * 4), Work(str(folder / "after"), ("", "kill", "", ""))
    run_both(first, second, told, EngineSettings("local", workers, overlaps=True))
    assert list(told.failed) == [("second", 1)]
    assert "its worker died 3 times" in told.failed["second", 1]
    assert sorted(told.order) == [(stage, part) for stage in ("first", "second") for part in range(4)]
    assert [first.tries(part) for part in range(4)] == [1] * 4


@pytest.mark.parametrize("workers", [1, 2])
def test_what_stops_one_stage_ends_the_other(folder, workers):
    """The first stage has a part in hand that would wait long."""

    class Stopping(Told):
        def second(self, done: Record | Failure) -> None:
            raise JobError(f"stopped at {done.part}")

    with pytest.raises(JobError, match="stopped at 0"):
        run_both(
            Leading(str(folder), ("",) * 8),
            Work(str(folder / "after"), ("",) * 8),
            Stopping(8, [1] + [8] * 7),
            EngineSettings("local", workers, overlaps=True),
        )
    assert no_worker_is_left()
    for part in range(1, 8):  # lets threads of this process end
        (folder / "after" / f"tries-{part}").touch()


def test_a_mistake_that_the_second_stage_finds_stops_both(folder):
    with pytest.raises(UserError, match="no such model"):
        run_both(
            Work(str(folder), ("",) * 4),
            Work(str(folder / "after"), ("",) * 4, "user"),
            Told(4, [1, 2, 3, 4]),
            EngineSettings("local", 2),
        )
    assert no_worker_is_left()


@dataclass(frozen=True)
class Last(Work):
    """A stage whose last part ends once parts of the follower were done while it was at work."""

    def work(self, part: int) -> Record:
        record = super().work(part)
        wait_until(lambda: part == 0 or len(list((Path(self.folder) / "after").glob("tries-*"))) >= 3)
        return record


@dataclass(frozen=True)
class Counting(Work):
    """A stage that keeps how many of its parts were at work at once; the last four wait for each other."""

    def work(self, part: int) -> Record:
        here = Path(self.folder) / f"at-{part}"
        here.touch()
        if part >= 3:
            wait_until(lambda: len(list(Path(self.folder).glob("at-*"))) == 4 or self.met())
            (Path(self.folder) / "met").touch()
        most = len(list(Path(self.folder).glob("at-*")))
        record = super().work(part)
        (Path(self.folder) / f"most-{part}").write_text(str(most))
        here.unlink()
        return record

    def met(self) -> bool:
        return (Path(self.folder) / "met").exists()

    def most(self, part: int) -> int:
        return int((Path(self.folder) / f"most-{part}").read_text())


def test_a_card_keeps_cores_for_itself_until_it_is_done(folder, monkeypatch):
    """Of five cores four are its worker's, so one process draws beside it, and more once it is at its end."""
    monkeypatch.setattr(engine, "usable_cores", lambda: 5)
    monkeypatch.setattr(engine, "usable_memory", lambda: None)
    second, told = Counting(str(folder / "after"), ("",) * 7), Told(2, [1, 1, 1, 2, 2, 2, 2])
    run_both(Last(str(folder), ("",) * 2), second, told, EngineSettings("local", 1, overlaps=True), None)
    assert told.failed == {}
    assert [second.most(part) for part in range(3)] == [1, 1, 1]
    assert second.met()


def test_cores_that_others_keep_busy_are_no_workers(monkeypatch):
    monkeypatch.setattr(engine, "usable_memory", lambda: 10**12)
    monkeypatch.setattr(engine, "usable_cores", lambda: 16)
    assert worker_count(EngineSettings("local"), 99, 4) == 12
    assert worker_count(EngineSettings("local"), 99, 8) == 8
    assert worker_count(EngineSettings("local", 3), 99, 8) == 3
    assert worker_count(EngineSettings("local"), 5, 8) == 5
    assert worker_count(EngineSettings("local"), 99, 32) == 1
