"""The lease of places without kernel locks, object stores and some network file systems: who gets it."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pyarrow.fs as pafs
import pytest

from pipelines.errors import JobError, UserError
from pipelines.run_folder import lease
from pipelines.run_folder.lock import only_writer, refuse_if_held
from pipelines.run_folder.process_mark import lives_here, mark_of_this_process
from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import PATIENCE, again_and_again, done, tinyaug
from tests.pipelines.run_folder.leases import THEIRS, fail_with, held, until

MARK = "import json, pipelines.run_folder.process_mark as mark; print(json.dumps(mark.mark_of_this_process()))"


@pytest.fixture(params=[errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK], ids=["ENOSYS", "EOPNOTSUPP", "ENOLCK"])
def no_kernel_locks(request, monkeypatch):
    monkeypatch.setattr(lease, "SETTLE", 0)
    fail_with(request.param, monkeypatch)


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr(lease, "LAPSES_AFTER", 0.0)
    monkeypatch.setattr(lease, "_age", lambda _: pytest.fail("waited for a lease whose holder is known"))


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
    with (
        pytest.raises(JobError, match=r"\.lock: cannot be written: Input/output error"),
        only_writer(Storage(str(tmp_path))),
    ):
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
    assert lives_here({**mark, "host": f"{mark['host']}1"}) is None  # a virtual machine from the same snapshot
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


def test_a_lease_that_is_not_refreshed_lapses(storage, monkeypatch, clock):
    """The holder is of another host: nobody here can tell whether it lives."""
    monkeypatch.setattr(lease, "_age", lambda _: 18.0)
    storage.write_json(".lock", THEIRS)
    said = []
    with only_writer(storage, said.append):
        assert held(storage)["token"] != "t"
        assert clock.now == pytest.approx(1042)
    assert said == ["waiting for the lease of process 7 on host other to lapse, at most 42 s"]


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


def test_a_store_that_tells_no_times(monkeypatch):
    """A lease there is of unknown age: it is waited for as if it were fresh."""
    storage = Storage("mock:///run")  # pyarrow's store in memory
    storage._fs.create_dir("run")
    storage.write_json(".lock", THEIRS)
    assert storage.written(".lock") > 0
    timeless = SimpleNamespace(
        open_output_stream=storage._fs.open_output_stream,
        delete_file=storage._fs.delete_file,
        get_file_info=lambda key: pafs.FileInfo(key, type=pafs.FileType.File, size=1),
    )
    monkeypatch.setattr(storage, "_fs", timeless)
    assert lease._age(storage) == 0


def test_a_lease_that_is_refreshed_meanwhile_is_refused(storage):
    named = "expected to be its only writer, found process 7 on host other at work on it"
    storage.write_json(".lock", THEIRS)
    with again_and_again(lambda: storage.write_json(".lock", {**THEIRS, "time": time.time()})):
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


def test_a_write_that_took_long_wins_no_lease(storage, monkeypatch, clock):
    monkeypatch.setattr(lease, "SETTLE", 41)
    with pytest.raises(JobError, match="failed for 41 s"), only_writer(storage):
        pytest.fail("another job may hold it")


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, JobError])
def test_one_that_is_stopped_while_it_takes_a_lease_leaves_none(storage, monkeypatch, clock, stopped):
    def stop(_: float) -> None:
        raise stopped

    monkeypatch.setattr(clock, "sleep", stop)
    with pytest.raises(stopped), only_writer(storage):
        pytest.fail("stopped before")
    assert ".lock" not in storage.names()
