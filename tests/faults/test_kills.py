"""Workers and drivers that are killed: the job goes on, redoes nothing that was finished, ends with the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.faults.conftest import PARTS, job
from tests.pipelines.jobs import (
    REPOSITORY,
    contents,
    done,
    finish,
    identities,
    intact,
    kill,
    later_wins,
    records,
    start,
    tinyaug,
    wait_for,
)
from tests.ready import start_ready

if TYPE_CHECKING:
    from pathlib import Path

TWO_WORKERS = ("--engine", "local", "--workers", "2")
ON_RAY = ("--engine", "ray", "--workers", "2")
WORKER = {"local": "spawn_main", "ray": "ray::MapWorker"}

pytestmark = pytest.mark.integration


def workers(process, engine: str = "local") -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            found += [child] if WORKER[engine] in " ".join(child.cmdline()) else []
        except psutil.Error:  # gone meanwhile
            continue
    return found


def comes_to_its_end(command, run, reference, finished) -> None:
    """The same command once more: what was finished is kept, and all is as where nothing was killed."""
    done(*command())
    assert identities(set(finished)) == finished
    assert contents(run) == contents(reference)
    assert not (run / ".partial").exists()


def test_the_job_has_many_parts(reference):
    assert min(len(records(reference, stage)) for stage in ("candidates", "augmented")) >= PARTS


def test_driver_killed_again_and_again(command, run, reference):
    """Kills at random moments of both stages, with one worker and with two; these end with their driver.

    The next driver comes at once: the lock is free though workers outlive theirs for a moment.
    """
    seed = random.randrange(1000)
    chance, finished, orphans = random.Random(seed), {}, []
    print("seed", seed)  # shown if the test fails
    for workers_now in (1, 2):
        goal = len(records(run)) + chance.randint(1, PARTS // 2)
        process = start(*command("--workers", workers_now))
        wait_for(lambda goal=goal: len(records(run)) >= goal, process)
        orphans += workers(process)
        kill(process)
        assert len(records(run)) < len(records(reference))
        assert identities(set(finished)) == finished
        finished = identities(intact(run))
    comes_to_its_end(command, run, reference, finished)
    assert orphans
    assert not psutil.wait_procs(orphans, timeout=30)[1]


def test_driver_killed_at_any_time(command, run, reference):
    """Not only where something was just finished: while models are loaded, shards are written or manifests merged."""
    seed = random.randrange(1000)
    chance = random.Random(seed)
    print("seed", seed)  # shown if the test fails
    starting, finished = {}, {}
    for workers_now in (1, 2, 1, 2):
        begin, before = time.monotonic(), len(records(run))
        process = start(*command("--workers", workers_now))
        if workers_now not in starting:
            wait_for(lambda before=before, process=process: len(records(run)) > before or process.poll() == 0, process)
            starting[workers_now] = time.monotonic() - begin
            time.sleep(chance.uniform(0, 0.5))
        else:
            time.sleep(chance.uniform(0, 1.5) * starting[workers_now])
        process.send_signal(signal.SIGKILL)
        assert finish(process).code in (0, -signal.SIGKILL)
        assert identities(set(finished)) == finished
        finished = identities(intact(run))
    comes_to_its_end(command, run, reference, finished)


def test_driver_killed_while_shards_are_drawn_beside_the_candidates(command, run, reference):
    """Killed again and again, it comes to its end, and what it drew before all candidates were there counts."""
    finished: dict[Path, tuple[int, int]] = {}
    for _ in range(2):
        goal = len(records(run, "augmented")) + 1
        words = later_wins(*command("--workers", 2))
        process = start_ready("tests.faults.overlapped", words, {**os.environ, "BESIDE": "1"})
        wait_for(lambda goal=goal: len(records(run, "augmented")) >= goal, process)
        drawing = workers(process)
        kill(process)
        assert drawing
        assert not psutil.wait_procs(drawing, timeout=30)[1]
        assert len(records(run, "candidates")) < len(records(reference, "candidates"))
        assert identities(set(finished)) == finished
        finished = identities(intact(run))
    comes_to_its_end(command, run, reference, finished)


def test_killed_workers_are_replaced(command, run, reference):
    process = start(*command(*TWO_WORKERS))
    for stage in ("candidates", "augmented"):
        wait_for(lambda stage=stage: records(run, stage), process)
        wait_for(lambda: workers(process), process)[0].kill()
    assert finish(process).code == 0
    assert contents(run) == contents(reference)
    assert not (run / ".partial").exists()


def test_ray_gives_the_same_bytes_with_three_workers_though_one_is_killed(command, run, reference):
    process = start(*command("--engine", "ray", "--workers", 3))
    wait_for(lambda: records(run, "candidates"), process)
    wait_for(lambda: workers(process, "ray"), process)[0].kill()
    ran = finish(process)
    assert ran.code == 0, ran.err
    assert contents(run) == contents(reference)
    assert not (run / ".partial").exists()
    assert not (run / "logs").exists()  # no part failed


def test_finished_job_starts_no_engine(many, reference, tmp_path, monkeypatch):
    run = shutil.copytree(reference, tmp_path / "complete")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != ".lock"}
    monkeypatch.setattr("pipelines.augmenting.stage_run.run_parts", lambda *_: pytest.fail("an engine was started"))
    ran = done(*job(many, run, *ON_RAY))
    assert "everything was done already" in ran.out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != ".lock"} == before


def test_finished_job_does_without_torch(many, reference):
    """Its import takes three times as long as all the rest."""
    code = "import sys; sys.modules['torch'] = None; from pipelines.cli import main; main()"
    again = [sys.executable, "-c", code, *job(many, reference, "--device", "cpu")]
    ran = subprocess.run(again, cwd=REPOSITORY, capture_output=True, text=True)
    assert (ran.returncode, "everything was done already" in ran.stdout) == (0, True), ran.stderr


def test_a_job_stopped_while_reading_its_input_goes_on(many, tmp_path, reference, monkeypatch):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.augmenting.snapshot._write_held_out", lambda *_: signal.raise_signal(signal.SIGINT))
        assert tinyaug(*job(many, out)).code == 130
    assert not records(out)
    done(*job(many, out))
    assert contents(out) == contents(reference)
