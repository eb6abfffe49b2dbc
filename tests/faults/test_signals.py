"""Ctrl-C and SIGTERM end a job cleanly, with the command that goes on."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.faults.test_kills import ON_RAY, TWO_WORKERS
from tests.pipelines.jobs import (
    contents,
    done,
    everything,
    finish,
    identities,
    intact,
    kill,
    later_wins,
    records,
    start,
    wait_for,
)
from tests.pipelines.run_folder.leases import THEIRS
from tests.ready import start_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.pipelines.jobs import Ran
    from tests.ready import Process

pytestmark = pytest.mark.integration


def stopped(command: list[str], number: int, until: Callable[[Process], Any]) -> Ran:
    """Sends a signal to the whole process group, as a terminal does, once something holds."""
    process = start(*command)
    wait_for(lambda: until(process), process)
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
    ran = stopped(command(*engine), number, lambda _: records(run, "candidates"))
    assert (ran.code, "Traceback" in ran.err) == (code, False), ran.err
    no_shard_is_half_written(run)
    said = ran.err.strip().splitlines()[-1]
    assert said.startswith("tinyaug: stopped; what was finished is kept. To go on: tinyaug augment ")
    finished = identities(intact(run))
    done(*shlex.split(said.split("To go on: tinyaug ")[1]))
    assert identities(set(finished)) == finished
    assert contents(run) == contents(reference)  # by two workers, too
    assert not (run / ".partial").exists()
    assert not (run / "logs").exists()  # nothing went wrong


def of_ray(process: Process, name: str) -> list[psutil.Process]:
    """Ray's own processes of a name."""
    found = []
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.Error):  # gone meanwhile
            found += [child] if child.name() == name else []
    return found


def test_signals_while_ray_starts_and_is_at_work_and_a_killed_driver(command, run, reference):
    early = stopped(command(*ON_RAY), signal.SIGTERM, lambda process: of_ray(process, "gcs_server"))  # Ray is starting
    late = stopped(command(*ON_RAY), signal.SIGTERM, lambda _: records(run, "candidates"))
    for ran in (early, late):
        assert (ran.code, "Traceback" in ran.err, "To go on: tinyaug" in ran.err) == (143, False, True), ran.err
    no_shard_is_half_written(run)
    process = start(*command(*ON_RAY))
    goal = len(records(run)) + 2
    wait_for(lambda: len(records(run)) >= goal, process)
    [raylet] = of_ray(process, "raylet")
    assert os.getpgid(raylet.pid) != process.pid  # a signal to the group, which ends it, would end the driver by it
    kill(process)
    finished = identities(intact(run))
    done(*command())
    assert identities(set(finished)) == finished
    assert contents(run) == contents(reference)


@pytest.mark.parametrize("beside", ["", "beside"])
@pytest.mark.parametrize("how", ["Ctrl-C", "lost lease"])
def test_parts_in_hand_are_left(command, run, reference, how, beside):
    """Three parts are in hand, each of which would take seconds; what becomes of them is seen by nobody.

    Where shards are drawn beside, a process that does so is there, too.
    """
    variables = {**os.environ, "LEASED": "1" if how == "lost lease" else "", "BESIDE": beside}
    workers = ("--workers", 2) if beside else ()
    process = start_ready("tests.faults.overlapped", later_wins(*command(*workers)), variables)
    wait_for(lambda: records(run, "augmented" if beside else "candidates"), process)
    everyone = psutil.Process(process.pid).children(recursive=True)
    assert bool(everyone) == bool(beside)
    before = time.monotonic()
    if how == "lost lease":
        (run / ".lock").write_text(json.dumps(THEIRS))
    else:
        os.killpg(process.pid, signal.SIGINT)
    ran = finish(process)
    assert time.monotonic() - before < 3
    assert not psutil.wait_procs(everyone, timeout=30)[1]
    assert (ran.code, "Traceback" in ran.err) == (1 if how == "lost lease" else 130, False), ran.err
    assert ("found that of process 7" if how == "lost lease" else "To go on: ") in ran.err
    left = everything(run)
    assert not [name for name in left if name.startswith(".partial") and how != "lost lease"]
    assert len(intact(run)) == len(records(run))
    time.sleep(0.5)
    assert everything(run) == left
    if how == "lost lease":
        (run / ".lock").unlink()
    else:
        done(*command())
        assert contents(run) == contents(reference)
