"""Ctrl-C and SIGTERM end a job cleanly, with the command that goes on."""

from __future__ import annotations

import os
import shlex
import signal

import psutil
import pytest

from tests.faults.test_kills import ON_RAY, TWO_WORKERS
from tests.pipelines.jobs import contents, done, finish, identities, intact, kill, records, start, wait_for

pytestmark = pytest.mark.integration


def stopped(command: list[str], run, number: int, stage: str = "candidates"):
    """Sends a signal to the whole process group, as a terminal does, once a stage is at work."""
    process = start(*command)
    wait_for(lambda: records(run, stage), process)
    everyone = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)
    ran = finish(process)
    assert not psutil.wait_procs(everyone, timeout=30)[1]
    return ran


def no_shard_is_half_written(run) -> None:
    assert not list(run.glob(".partial/*"))
    recorded = {path.parents[1] / "data" / f"{path.stem}.parquet" for path in records(run)}
    assert recorded == intact(run)
    assert len(set(run.glob("*/data/*")) - recorded) <= 2  # complete, but their records had not been written


@pytest.mark.parametrize(
    ("engine", "number", "code"),
    [(TWO_WORKERS, signal.SIGINT, 130), ((), signal.SIGTERM, 143)],
    ids=["Ctrl-C, two workers", "SIGTERM, one worker"],
)
def test_signal_then_the_printed_command(command, run, reference, engine, number, code):
    ran = stopped(command(*engine), run, number)
    assert (ran.code, "Traceback" in ran.err) == (code, False), ran.err
    no_shard_is_half_written(run)
    said = ran.err.strip().splitlines()[-1]
    assert said.startswith("tinyaug: stopped; what was finished is kept. To go on: tinyaug augment ")
    finished = identities(intact(run))
    done(*shlex.split(said.split("To go on: tinyaug ")[1]))
    assert identities(set(finished)) == finished
    assert contents(run) == contents(reference)
    assert not (run / ".partial").exists()


def test_signals_while_ray_is_at_work_and_a_killed_driver(command, run, reference):
    ran = stopped(command(*ON_RAY), run, signal.SIGTERM)
    assert (ran.code, "Traceback" in ran.err) == (143, False), ran.err
    no_shard_is_half_written(run)
    process = start(*command(*ON_RAY))
    goal = len(records(run)) + 2
    wait_for(lambda: len(records(run)) >= goal, process)
    kill(process)
    finished = identities(intact(run))
    done(*command())
    assert identities(set(finished)) == finished
    assert contents(run) == contents(reference)
