"""Engines with workers that fail in every way: what can be done is done, what cannot is named."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.engines import EngineSettings, Failure, run_parts, worker_count
from pipelines.engines.on_ray import RayWorker, run_on_ray
from pipelines.engines.processes import in_processes
from pipelines.engines.together import run_together
from pipelines.errors import JobError, UserError
from pipelines.run_folder.records import Record, ShardNames
from pipelines.run_folder.storage import Storage


@dataclass(frozen=True)
class Work:
    """A stage whose parts are told what to do: `kill`, `kill the raylet`, `fail`, anything else is done."""

    folder: str
    orders: tuple[str, ...]
    mistake: str = ""
    name: str = "candidates"
    settings_hash: str = ""

    @property
    def job(self) -> Work:
        return self

    @property
    def root(self) -> str:
        return self.folder

    @property
    def names(self) -> ShardNames:
        return ShardNames(self.name, "part", len(self.orders))

    def make_worker(self) -> Work:
        if self.mistake == "user":
            raise UserError("no such model")
        if self.mistake:
            raise OSError(self.mistake)
        return self

    def work(self, part: int) -> Record:
        with (Path(self.folder) / f"tries-{part}").open("a") as stream:
            stream.write("x")
        order = self.orders[part]
        if order == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if order == "kill the raylet":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        if order == "fail" or (order == "fail once" and self.tries(part) == 1):
            raise ValueError("failed as told")
        return Record("candidates", part, len(self.orders), 0, 1, 1, 1, "", "", {})

    def leave(self) -> None:
        """Parts that are in hand write nothing that counts."""

    def tries(self, part: int) -> int:
        return len((Path(self.folder) / f"tries-{part}").read_text())


def run(work: Work, workers: int, engine: str = "local") -> tuple[set[int], dict[int, str]]:
    """Parts that were done, and why the others were not."""
    found: list[Record | Failure] = []
    run_parts(work, list(range(len(work.orders))), EngineSettings(engine, workers), found.append)
    assert sorted(one.part for one in found) == list(range(len(work.orders)))
    failed = {one.part: one.reason for one in found if isinstance(one, Failure)}
    return {one.part for one in found} - failed.keys(), failed


def run_in_processes(*given: Any) -> None:
    """Runs parts in processes, of one worker, too."""
    run_together(in_processes(*given))


def test_failures_are_tried_again_and_named(tmp_path):
    work = Work(str(tmp_path), ("", "fail", "fail once", ""))
    done, failed = run(work, 1)
    assert done == {0, 2, 3}
    assert failed == {1: "ValueError: failed as told"}
    assert [work.tries(part) for part in range(4)] == [1, 3, 2, 1]
    logs = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert sum("00001" in name for name in logs) == 3
    assert len(logs) == 4
    assert "failed as told" in (tmp_path / "logs" / logs[0]).read_text()


@dataclass(frozen=True)
class Hearing(Work):
    """A stage whose workers write down whether Ctrl-C was kept from them from their first moment on."""

    def make_worker(self) -> Hearing:
        deaf = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        (Path(self.folder) / f"deaf-{os.getpid()}").write_text(str(deaf))
        return self


@pytest.mark.integration
def test_ctrl_c_is_left_to_the_driver_even_while_workers_start(tmp_path):
    done, _ = run(Hearing(str(tmp_path), ("",) * 4), 2)
    assert done == {0, 1, 2, 3}
    assert {path.read_text() for path in tmp_path.glob("deaf-*")} == {"True"}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.integration
def test_a_mistake_that_workers_find_stops_the_job(tmp_path):
    with pytest.raises(UserError, match="no such model"):
        run(Work(str(tmp_path), ("", "", ""), "user"), 2)


@pytest.mark.parametrize("mistake", ["user", "the disk is gone"])
def test_a_ray_worker_that_cannot_be_built_says_so_and_lives(tmp_path, mistake):
    """An actor that dies while it is built is built again for ever."""
    worker = RayWorker(Work(str(tmp_path), ("",), mistake))
    (result,) = worker({"part": np.array([0])})["result"]
    assert ("no such model" if mistake == "user" else mistake) in result


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("", None),
        ("E core_worker.cc: Actor 1 has constructor arguments in the object store and max_restarts > 0.\n\n", None),
        ("Progress bars disabled. To enable, …\nthe pool will not scale up\n", "the pool will not scale up\n"),
    ],
)
def test_what_ray_warns_of_is_kept_but_for_what_it_always_says(tmp_path, monkeypatch, said, kept):
    def run_ray(stage, parts, settings, on_done):
        os.write(2, said.encode())

    monkeypatch.setattr("pipelines.engines.on_ray._run", run_ray)
    run_parts(Work(str(tmp_path), ("", "")), [0, 1], EngineSettings("ray"), lambda _: None)
    assert [path.read_text() for path in tmp_path.glob("logs/candidates-ray-*.txt")] == ([kept] if kept else [])
    assert (tmp_path / "logs").exists() == bool(kept)


@dataclass(frozen=True)
class Meeting(Work):
    """A stage whose parts go on only once `expected` workers are at work at the same moment."""

    expected: int = 1

    def work(self, part: int) -> Record:
        folder, deadline = Path(self.folder), time.monotonic() + 90
        (folder / f"worker-{os.getpid()}").touch()
        while len(list(folder.glob("worker-*"))) < self.expected:  # each of them is in its first part, or it would wait
            if time.monotonic() > deadline:
                raise TimeoutError("the other workers never came")
            time.sleep(0.05)
        return super().work(part)


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_all_workers_meet_and_a_part_that_kills_its_worker_is_given_up(tmp_path, engine):
    """No part is ended, and none kills its worker, before three workers are at work at the same moment."""
    work = Meeting(str(tmp_path), ("", "", "kill", "", "fail", ""), expected=3)
    done, failed = run(work, 3, engine)
    assert done == {0, 1, 3, 5}
    assert set(failed) == {2, 4}
    assert "its worker died 3 times" in failed[2]
    assert work.tries(2) == 3
    assert work.tries(4) == 3 or engine == "local"  # a pool that breaks takes other parts with it
    assert len(list(tmp_path.glob("logs/candidates-workers-*.txt"))) == (3 if engine == "local" else 0)


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Ray's processes are not looked at")
def test_on_ray_a_killed_raylet_is_named(tmp_path):
    with pytest.raises(JobError, match="expected its raylet to live as long as the job, found it ended by SIGKILL"):
        run(Work(str(tmp_path), ("", "kill the raylet", "", "")), 2, "ray")


@dataclass(frozen=True)
class Overlapping(Work):
    """A stage whose parts end only once another one is at work in the same process, too, or none is left to come."""

    def work(self, part: int) -> Record:
        record, folder, deadline = super().work(part), Path(self.folder), time.monotonic() + 90
        (folder / f"process-{os.getpid()}-{part}").touch()
        while len(list(folder.glob(f"process-{os.getpid()}-*"))) < 2 and len([*folder.glob("tries-*")]) < 7:
            if time.monotonic() > deadline:
                raise TimeoutError("no other part came")
            time.sleep(0.01)
        return record


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize(("engine", "workers"), [("local", 1), ("local", 2), ("ray", 1)])
def test_parts_overlap_in_a_worker_where_a_device_computes(tmp_path, engine, workers):
    work = Overlapping(str(tmp_path), ("", "fail once", "", "", "fail", "", ""))
    found: list[Record | Failure] = []
    run_parts(work, list(range(7)), EngineSettings(engine, workers, overlaps=True), found.append)
    assert sorted(one.part for one in found) == list(range(7))
    assert [one.part for one in found if isinstance(one, Failure)] == [4]
    assert (work.tries(1), work.tries(4), work.tries(5)) == (2, 3, 1)


@pytest.mark.integration
def test_a_group_with_a_part_that_kills_its_worker_loses_that_part_alone(tmp_path):
    work = Work(str(tmp_path), ("", "kill", "", "", "", ""))
    found: list[Record | Failure] = []
    run_parts(work, list(range(6)), EngineSettings("local", 2, overlaps=True), found.append)
    assert {one.part for one in found if isinstance(one, Failure)} == {1}
    assert sorted(one.part for one in found) == list(range(6))


@dataclass(frozen=True)
class Recorded(Work):
    """A stage that publishes its parts; the last one kills its worker when all others are there."""

    def work(self, part: int) -> Record:
        record, storage = super().work(part), Storage(self.folder)
        if part == len(self.orders) - 1:
            deadline = time.monotonic() + 90
            while any(storage.read_json(self.names.record(other)) is None for other in range(part)):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        storage.write_bytes(self.names.data(part), b"x")
        record = replace(record, sha256=hashlib.sha256(b"x").hexdigest())
        storage.write_json(self.names.record(part), asdict(record))
        return record


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("run_with", [run_in_processes, run_on_ray])
def test_a_kill_loses_no_finished_part(tmp_path, run_with):
    work = Recorded(str(tmp_path), ("",) * 4)
    found: list[Record | Failure] = []
    run_with(work, list(range(4)), EngineSettings("local", 1, overlaps=True), found.append)
    assert {one.part for one in found if isinstance(one, Record)} == {0, 1, 2}
    assert [work.tries(part) for part in range(4)] == [1, 1, 1, 3]


@dataclass(frozen=True)
class Flowing(Work):
    """A stage whose parts end only once the second one after them has begun."""

    def work(self, part: int) -> Record:
        record, deadline = super().work(part), time.monotonic() + 30
        while part + 2 < len(self.orders) and not (Path(self.folder) / f"tries-{part + 2}").exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"part {part + 2} was not begun before {part} ended")
            time.sleep(0.01)
        return record


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("run_with", [run_in_processes, run_on_ray])
def test_a_device_never_waits_for_the_last_parts_to_end(tmp_path, run_with):
    work = Flowing(str(tmp_path), ("",) * 20)
    found: list[Record | Failure] = []
    run_with(work, list(range(20)), EngineSettings("local", 1, overlaps=True), found.append)
    assert [one for one in found if isinstance(one, Failure)] == []
    assert sorted(one.part for one in found) == list(range(20))


def test_no_parts_start_nothing(tmp_path):
    run_parts(Work(str(tmp_path), (), "user"), [], EngineSettings("ray"), lambda _: pytest.fail("called"))


def test_never_more_workers_than_parts():
    assert worker_count(EngineSettings("local", 8), 3) == 3
    assert worker_count(EngineSettings("local"), 1) == 1
