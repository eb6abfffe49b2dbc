"""The lock file of places without kernel locks: object stores and some network file systems."""

from __future__ import annotations

import errno
import fcntl
import json
import time

import pytest

from pipelines.errors import JobError, UserError
from pipelines.lock import STALE_AFTER, only_writer, refuse_if_held
from pipelines.storage import Storage
from tests.pipelines.jobs import done, tinyaug


def fail_with(number: int, monkeypatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, "as told")

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.fixture(params=[errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK], ids=["ENOSYS", "EOPNOTSUPP", "ENOLCK"])
def no_kernel_locks(request, monkeypatch):
    fail_with(request.param, monkeypatch)


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """A run directory on a file system without locks, whose lock file is refreshed at once."""
    fail_with(errno.ENOSYS, monkeypatch)
    monkeypatch.setattr("pipelines.lock.REFRESH_EVERY", 0)
    return Storage(str(tmp_path))


def held(storage: Storage) -> dict[str, object]:
    return json.loads(storage.read_bytes(".lock"))


def test_without_kernel_locks_a_lock_file_serves(inputs, tmp_path, no_kernel_locks):
    run = tmp_path / "run"
    done(*inputs.augment(run, "--limit", 3))
    assert not (run / ".lock").exists()
    with only_writer(Storage(str(run))):
        ran = tinyaug(*inputs.augment(run, "--limit", 3))
        assert (
            ran.code,
            f"at work on it; wait for it, or choose another --out; if that job is gone, delete {run}" in ran.err,
        ) == (2, True)
        with pytest.raises(UserError, match="only writer"), only_writer(Storage(str(run))):
            pass
        assert (run / ".lock").exists()


def test_other_troubles_with_a_lock_are_no_other_job(tmp_path, monkeypatch):
    fail_with(errno.EIO, monkeypatch)
    with pytest.raises(OSError, match="as told"), only_writer(Storage(str(tmp_path))):
        pass


def test_a_lock_file_lapses_unless_it_is_refreshed(storage, monkeypatch):
    begin = time.time()
    with only_writer(storage) as lock:
        monkeypatch.setattr(time, "time", lambda: begin + STALE_AFTER - 1)
        lock.refresh()
        monkeypatch.setattr(time, "time", lambda: begin + 2 * STALE_AFTER - 2)
        with pytest.raises(UserError, match="only writer"):
            refuse_if_held(storage)
        monkeypatch.setattr(time, "time", lambda: begin + 2 * STALE_AFTER)
        refuse_if_held(storage)


@pytest.mark.parametrize("theirs", [{"host": "other", "process": 7, "token": "t", "time": 1.0}, None])
def test_a_lock_that_was_lost_stops_its_job_and_is_left_to_the_other(storage, theirs):
    def work() -> None:
        with only_writer(storage) as lock:
            storage.write_json(".lock", theirs) if theirs else storage.remove(".lock")
            storage.local_folder().joinpath(".partial").mkdir(exist_ok=True)
            lock.refresh()

    with pytest.raises(JobError, match="process 7 on host other" if theirs else "found none"):
        work()
    assert storage.read_json(".lock") == theirs
    assert storage.local_folder().joinpath(".partial").is_dir()  # the other one writes there


def test_a_job_refreshes_its_lock_as_parts_finish_and_stops_if_it_was_lost(inputs, storage, monkeypatch):
    """Another job takes the lock while the third shard is drawn: the first one stops, and keeps what it has."""
    from pipelines import variant_stage

    times, work = [], variant_stage.VariantWorker.work

    def watched(self, part):
        times.append(held(storage)["time"])
        if part == 3:
            storage.write_json(".lock", {"host": "other", "process": 7, "time": time.time()})
        return work(self, part)

    monkeypatch.setattr(variant_stage.VariantWorker, "work", watched)
    ran = tinyaug(*inputs.augment(storage.root, "--shard-rows", 10))
    assert (ran.code, "expected this job's own lock, found that of process 7 on host other" in ran.err) == (1, True)
    assert times == sorted(set(times))
    assert len(times) == 4
    assert held(storage)["process"] == 7
