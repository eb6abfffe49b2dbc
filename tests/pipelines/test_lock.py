"""The lease of places without kernel locks: object stores and some network file systems."""

from __future__ import annotations

import errno
import fcntl
import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from pipelines import lease
from pipelines.errors import JobError, UserError
from pipelines.lock import only_writer, refuse_if_held
from pipelines.process_mark import lives_here, mark_of_this_process
from pipelines.storage import Storage
from tests.pipelines.jobs import PATIENCE, done, tinyaug

if TYPE_CHECKING:
    from collections.abc import Iterator

THEIRS = {"host": "other", "process": 7, "machine": "another", "started": 1, "token": "t", "time": 1.0}
MARK = "import json, pipelines.process_mark as mark; print(json.dumps(mark.mark_of_this_process()))"


def fail_with(number: int, monkeypatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, "as told")

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.fixture(params=[errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK], ids=["ENOSYS", "EOPNOTSUPP", "ENOLCK"])
def no_kernel_locks(request, monkeypatch):
    monkeypatch.setattr(lease, "SETTLE", 0)
    fail_with(request.param, monkeypatch)


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """A run directory on a file system without locks; its lease is refreshed all the time."""
    fail_with(errno.ENOSYS, monkeypatch)
    for name, seconds in (("REFRESH_EVERY", 0.01), ("RETRY_EVERY", 0.01), ("SETTLE", 0), ("LOOK_EVERY", 0.01)):
        monkeypatch.setattr(lease, name, seconds)
    return Storage(str(tmp_path))


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr(lease, "LAPSES_AFTER", 0.0)
    monkeypatch.setattr(lease, "_age", lambda _: pytest.fail("waited for a lease whose holder is known"))


def held(storage: Storage) -> dict[str, object]:
    return json.loads(storage.read_bytes(".lock"))


def until(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def test_without_kernel_locks_a_lease_serves(inputs, tmp_path, no_kernel_locks):
    run = tmp_path / "run"
    done(*inputs.augment(run, "--limit", 3))
    assert not (run / ".lock").exists()
    with only_writer(Storage(str(run))):
        ran = tinyaug(*inputs.augment(run, "--limit", 3))
        assert (ran.code, "at work on it; wait for it, or choose another --out" in ran.err) == (2, True)
        with pytest.raises(UserError, match="only writer"), only_writer(Storage(str(run))):
            pass
        assert (run / ".lock").exists()


def test_other_troubles_with_a_lock_are_no_other_job(tmp_path, monkeypatch):
    fail_with(errno.EIO, monkeypatch)
    with pytest.raises(OSError, match="as told"), only_writer(Storage(str(tmp_path))):
        pass


def test_a_lease_is_refreshed_whatever_its_job_does(storage):
    with only_writer(storage):
        first = held(storage)["time"]
        until(lambda: held(storage)["time"] > first)
    assert not storage.names()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it lapses")
@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("reused", [False, True])
def test_a_lease_whose_process_is_gone_is_taken_at_once(storage, reused):
    """Also where a process of the same number lives: it started at another time."""
    mark = json.loads(subprocess.run([sys.executable, "-c", MARK], capture_output=True, check=True).stdout)
    if reused:
        mark = {**mark_of_this_process(), "started": mark["started"]}
    storage.write_json(".lock", {**mark, "token": "t", "time": time.time()})
    refuse_if_held(storage)
    with only_writer(storage):
        assert held(storage)["token"] != "t"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can tell")
def test_which_processes_can_be_told(monkeypatch):
    mark = mark_of_this_process()
    assert lives_here(mark) is True
    assert lives_here({**mark, "machine": f"{mark['machine']}1"}) is None  # another boot, machine or container
    assert lives_here({"host": mark["host"], "process": mark["process"]}) is None
    with subprocess.Popen([sys.executable, "-c", MARK], stdout=subprocess.PIPE) as child:
        ended = json.loads(child.communicate()[0])
        assert lives_here(ended) is False
    with subprocess.Popen([sys.executable, "-c", f"{MARK}; input()"], stdin=-1, stdout=-1) as child:
        living = json.loads(child.stdout.readline())
        assert lives_here(living) is True
        child.kill()
        until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        assert lives_here(living) is False  # though nobody has waited for it


def test_a_lease_that_is_not_refreshed_lapses(storage, monkeypatch):
    """The holder is of another host: nobody here can tell whether it lives."""
    monkeypatch.setattr(lease, "LAPSES_AFTER", 0.2)
    storage.write_json(".lock", THEIRS)
    said, began = [], time.monotonic()
    with only_writer(storage, said.append):
        assert held(storage)["token"] != "t"
    assert time.monotonic() - began > 0.1
    assert said == ["waiting for the lease of process 7 on host other to lapse, at most 0 s"]


def test_a_lease_that_lapsed_long_ago_is_not_waited_for(storage, monkeypatch):
    monkeypatch.setattr(lease, "_age", lambda _: 61.0)
    monkeypatch.setattr(time, "sleep", lambda seconds: seconds and pytest.fail("waited"))
    storage.write_json(".lock", {**THEIRS, "time": time.time() + 3600})  # its host's clock goes wrong
    with only_writer(storage, pytest.fail):
        pass


def test_a_file_s_age_is_told_by_the_clock_of_its_place(storage, monkeypatch):
    storage.write_json(".lock", THEIRS)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= lease._age(storage) < PATIENCE
    written = {".lock": 1000.0}
    monkeypatch.setattr(storage, "written", lambda name: written.get(name, 1042.0))
    assert lease._age(storage) == 42
    assert storage.names() == [".lock", ".partial"]


@contextmanager
def refreshing(storage: Storage) -> Iterator[None]:
    """A holder on another host that lives."""
    ended = threading.Event()

    def refresh() -> None:
        while not ended.wait(0.01):
            storage.write_json(".lock", {**THEIRS, "time": time.time()})

    storage.write_json(".lock", THEIRS)
    thread = threading.Thread(target=refresh)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_lease_that_is_refreshed_meanwhile_is_refused(storage):
    named = "expected to be its only writer, found process 7 on host other at work on it"
    with refreshing(storage):
        for refusing in (lambda: refuse_if_held(storage), lambda: only_writer(storage).__enter__()):
            with pytest.raises(UserError, match=named):
                refusing()
    assert held(storage)["token"] == "t"


def test_of_two_that_take_it_at_once_one_is_refused(storage, monkeypatch):
    """The other one's write comes after ours, before we read it back."""
    monkeypatch.setattr(lease, "SETTLE", 0.01)
    monkeypatch.setattr(time, "sleep", lambda _: storage.write_json(".lock", THEIRS))
    with pytest.raises(UserError, match="found process 7 on host other"), only_writer(storage):
        pytest.fail("two could have written")
    assert held(storage) == THEIRS


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


def test_a_store_that_stays_down_ends_the_job_before_its_lease_lapses(storage, monkeypatch):
    def failing(*_: object) -> None:
        raise OSError("no answer")

    monkeypatch.setattr(lease, "GIVE_UP_AFTER", 0.05)
    with pytest.raises(JobError, match=r"to refresh this job's lease, found that it failed for 0 s \(no answer\)"):  # noqa: PT012, SIM117
        with only_writer(storage):
            monkeypatch.setattr(storage, "read_json", failing)
            time.sleep(PATIENCE)


def test_a_job_whose_lease_is_taken_stops_in_the_middle_of_a_part(inputs, storage, monkeypatch):
    from pipelines import variant_stage

    work = variant_stage.VariantWorker.work

    def watched(self, part):
        if part == 3:
            until(lambda: storage.write_json(".lock", THEIRS))
        return work(self, part)

    monkeypatch.setattr(variant_stage.VariantWorker, "work", watched)
    ran = tinyaug(*inputs.augment(storage.root, "--shard-rows", 10))
    assert (ran.code, "expected this job's own lease, found that of process 7 on host other" in ran.err) == (1, True)
    assert held(storage) == THEIRS
    assert storage.names("augmented/records") == [f"train-0000{part}-of-00006.json" for part in range(3)]
    assert not storage.names("logs")
