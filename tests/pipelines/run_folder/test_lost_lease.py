"""A lease that cannot be refreshed, hangs, or is taken by another job: the job stops, and stops only then."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress

import pytest

from pipelines.augmenting.stages import ShardMaker
from pipelines.errors import JobError
from pipelines.run_folder import lease
from pipelines.run_folder.lock import only_writer
from tests.pipelines.jobs import PATIENCE, tinyaug
from tests.pipelines.run_folder.leases import THEIRS, held, until


@pytest.mark.parametrize("theirs", [THEIRS, None])
def test_a_lease_that_was_lost_stops_its_job_and_is_left_to_the_other(storage, theirs):
    def work() -> None:
        with only_writer(storage):
            try:
                until(lambda: storage.write_json(".lock", theirs) if theirs else storage.remove(".lock"))
            except Exception:  # as whoever tries a part again
                pytest.fail("taken for the failure of a part")

    with pytest.raises(JobError, match="process 7 on host other" if theirs else "found none"):
        work()
    assert storage.read_json(".lock") == theirs
    assert storage.names() == [".lock", ".partial"] if theirs else [".partial"]  # the other one writes there


def test_beside_the_main_thread_a_lost_lease_is_told_when_it_is_asked_for(storage):
    told = []

    def work() -> None:
        try:
            with only_writer(storage) as lock:
                lock.check()
                until(lambda: storage.write_json(".lock", THEIRS) or lock.lost)
                lock.check()
        except JobError as error:
            told.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "found that of process 7 on host other" in told[0]


def test_a_store_that_is_down_for_a_while_costs_nothing(storage, monkeypatch):
    failures, write = [], storage.write_json

    def failing(name: str, content: dict[str, object]) -> None:
        if len(failures) < 3:
            failures.append(1)
            raise JobError("no answer")
        write(name, content)

    with only_writer(storage):
        before = held(storage)["time"]
        monkeypatch.setattr(storage, "write_json", failing)
        until(lambda: held(storage)["time"] > before)


def test_a_lease_that_was_waited_for_outlives_a_failure(storage, monkeypatch, clock):
    """Its age counts from when it was written, not from when the wait began."""
    monkeypatch.setattr(lease, "_age", lambda _: 0.0)
    storage.write_json(".lock", THEIRS)
    write, failures = storage.write_json, []

    def failing_once(name: str, content: dict[str, object]) -> None:
        if not failures:
            failures.append(1)
            raise JobError("no answer")
        write(name, content)

    with only_writer(storage):
        assert clock.now == pytest.approx(1060)
        monkeypatch.setattr(storage, "write_json", failing_once)
        clock.now += 15
        until(lambda: held(storage)["time"] > 1070)
    assert failures


def test_a_refresh_that_comes_late_is_not_written(storage, monkeypatch, clock):
    """The store answers after 41 s; meanwhile another job may take the lease over."""
    for name in ("REFRESH_EVERY", "LOOK_EVERY"):
        monkeypatch.setattr(lease, name, PATIENCE)  # the test refreshes
    read = storage.read_json

    def slow(name: str) -> dict[str, object] | None:
        found = read(name)
        storage.write_json(".lock", THEIRS)
        clock.now += 41
        return found

    with only_writer(storage) as lock:
        with monkeypatch.context() as patch:
            patch.setattr(storage, "read_json", slow)
            lock._refresh()
        assert held(storage) == THEIRS
    assert held(storage) == THEIRS


def is_kept() -> bool:
    """Whether a thread of a lease lives."""
    return any(thread.name == "lease" for thread in threading.enumerate())


@pytest.fixture
def hanging(storage, monkeypatch):
    """Lets reads of a lease hang from when `begin` is set until `release` is."""
    monkeypatch.setattr(lease, "END_WAIT", 0.01)
    begin, hangs, release = threading.Event(), threading.Event(), threading.Event()
    read = storage.read_json

    def hang(name: str) -> dict[str, object] | None:
        found = read(name)
        if begin.is_set() and not release.is_set():
            hangs.set()
            release.wait(PATIENCE)
        return found

    monkeypatch.setattr(storage, "read_json", hang)
    yield begin, hangs, release
    release.set()
    until(lambda: not is_kept())


def test_a_refresh_that_hangs_ends_the_job(storage, hanging, clock):
    begin, hangs, _ = hanging

    def work() -> None:
        with only_writer(storage):
            begin.set()
            hangs.wait(PATIENCE)
            clock.now += 41
            time.sleep(PATIENCE)

    with pytest.raises(JobError, match="found that it failed for 41 s"):
        work()
    assert is_kept()  # the call still hangs


def test_a_refresh_that_hangs_does_not_hang_the_end(storage, hanging):
    """Nor does it write anything once the job is over."""
    begin, hangs, release = hanging

    def work() -> None:
        with only_writer(storage):
            begin.set()
            hangs.wait(PATIENCE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert is_kept()  # the call still hangs
    storage.remove(".lock")
    release.set()
    until(lambda: not is_kept())
    assert ".lock" not in storage.names()


def test_a_lost_lease_is_told_again_where_the_first_alarm_was_swallowed(storage):
    """As in a `__del__`, or in a callback of a library."""

    def work() -> None:
        with only_writer(storage):
            with suppress(BaseException):
                until(lambda: storage.write_json(".lock", THEIRS))
            time.sleep(PATIENCE)

    with pytest.raises(JobError, match="found that of process 7 on host other"):
        work()


def test_clearing_up_after_a_lost_lease_is_not_interrupted(storage, monkeypatch):
    alarms, cleared, kill = [], [], signal.pthread_kill

    def counted(thread: int, number: int) -> None:
        alarms.append(1)
        kill(thread, number)

    def work() -> None:
        with only_writer(storage):
            try:
                until(lambda: storage.write_json(".lock", THEIRS))
            finally:
                with suppress(ValueError):
                    int("no number")
                until(lambda: len(alarms) > 5)
                cleared.append(1)

    monkeypatch.setattr(signal, "pthread_kill", counted)
    with pytest.raises(JobError, match="found that of process 7 on host other"):
        work()
    assert cleared


def test_a_store_that_stays_down_ends_the_job_before_its_lease_lapses(storage, monkeypatch):
    def failing(*_: object) -> None:
        raise OSError("connection refused")

    monkeypatch.setattr(lease, "GIVE_UP_AFTER", 0.05)

    def work() -> None:
        with only_writer(storage):
            monkeypatch.setattr(storage, "read_json", failing)
            time.sleep(PATIENCE)

    with pytest.raises(JobError, match=r"this job's lease, found that it failed for 0 s \(connection refused\)"):
        work()


def test_a_job_whose_lease_is_taken_stops_in_the_middle_of_a_part(inputs, storage, monkeypatch):
    work = ShardMaker.work

    def watched(self, part):
        if (self._stage.name, part) == ("augmented", 3):
            until(lambda: storage.write_json(".lock", THEIRS))
        return work(self, part)

    monkeypatch.setattr(ShardMaker, "work", watched)
    ran = tinyaug(*inputs.augment(storage.root, "--shard-rows", 10))
    assert (ran.code, "expected this job's own lease, found that of process 7 on host other" in ran.err) == (1, True)
    assert held(storage) == THEIRS
    assert storage.names("augmented/records") == [f"train-0000{part}-of-00006.json" for part in range(3)]
    assert not storage.names("logs")
