"""Ctrl-C and SIGTERM while a model trains: a checkpoint of the last step, and the same bytes as undisturbed."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from distill.cache_format import INDEX
from distill.errors import StoppedError
from distill.targets import Targets
from pipelines.training import stopping
from pipelines.training.stage_progress import NAMES
from pipelines.training.stopping import stops_noted
from tests.distill.data import write_shards
from tests.pipelines.jobs import done, finish, start, tinyaug, wait_for
from tests.pipelines.training.verbs import ahead, distill, finetune, run
from tests.ranks import two_ranks
from tests.ready import start_ready

if TYPE_CHECKING:
    from pathlib import Path

NEVER = ("--checkpoint-every", 100_000)


def kept(folder: Path) -> int:
    """The step of the one checkpoint that is there."""
    [checkpoint] = folder.glob("step-*")
    return json.loads((checkpoint / "state.json").read_text())["state"]["step"]


def stopped(command: list[str], stage: Path, number: int) -> str:
    """Signals the whole group, as a terminal and `timeout` do, once the stage has logged steps; what was said."""
    process = start(*command)
    wait_for((stage / "losses.csv").exists, process)
    os.killpg(process.pid, number)
    ran = finish(process)
    assert (ran.code, "Traceback" in ran.err) == (128 + number, False), ran.err
    assert (
        f"{NAMES.get(stage.name, stage.name)}: stopped after step {kept(stage):,}, of which a checkpoint is kept"
        in ran.err
    )
    assert ran.err.count("tinyaug: stopping after this step, with a checkpoint; once more to stop at once") == 1
    return ran.err


def gone_on(said: str, stage: Path) -> None:
    """Runs the command that was printed."""
    step = kept(stage)
    ran = done(*shlex.split(said.strip().splitlines()[-1].split("To go on: tinyaug ")[1]))
    assert re.search(
        rf"going on from step {step:,} of [\d,]+ \(stage {NAMES.get(stage.name, stage.name)}\)", ran.err
    ), ran.err


def same(one: Path, other: Path, *names: str) -> None:
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.integration
def test_fine_tuning(parts, tmp_path):
    more, out = ("--epochs", 20, *NEVER), tmp_path / "stopped"
    done(*finetune(parts, tmp_path / "whole", *more))
    assert done("status", tmp_path / "whole").out.splitlines() == ["finetune     done, 160 steps", "complete"]
    said = stopped(finetune(parts, out, *more), out / "labels", signal.SIGINT)
    ran, step = tinyaug("status", out), kept(out / "labels")
    assert ran.out.splitlines() == [
        f"finetune     step {step:,} of 160, checkpoint of step {step:,}",
        "not complete: run its command again to go on",
    ]
    assert ran.code == 1
    gone_on(said, out / "labels")
    same(out, tmp_path / "whole", "model.safetensors", "labels/losses.csv", "labels/dev.csv")


@pytest.mark.integration
def test_distillation_in_both_stages(parts, tmp_path):
    more = ("--epochs-intermediate", 20, "--epochs-prediction", 20, *NEVER)
    out = tmp_path / "stopped"
    done(*distill(parts, tmp_path / "whole", *more))
    said = stopped(distill(parts, out, *more), out / "intermediate", signal.SIGTERM)
    assert "prediction   not begun" in tinyaug("status", out).out
    gone_on_to = shlex.split(said.strip().splitlines()[-1].split("To go on: tinyaug ")[1])
    said = stopped(gone_on_to, out / "prediction", signal.SIGINT)
    assert tinyaug("status", out).out.startswith("intermediate done, ")
    gone_on(said, out / "prediction")
    names = (f"{stage}/losses.csv" for stage in ("intermediate", "prediction"))
    same(out, tmp_path / "whole", "model.safetensors", "prediction/dev.csv", *names)


@pytest.mark.integration
def test_a_whole_run(parts, tmp_path):
    more, out = ("--epochs-intermediate", 24, *NEVER), tmp_path / "stopped"
    done(*run(parts, tmp_path / "whole", *more))
    said = stopped(run(parts, out, *more), out / "student/intermediate", signal.SIGINT)
    step = kept(out / "student/intermediate")
    assert re.search(rf"intermediate: step {step} of \d+, checkpoint of step {step}\n", tinyaug("status", out).out)
    gone_on(said, out / "student/intermediate")
    same(out, tmp_path / "whole", "student/model.safetensors", "student/intermediate/losses.csv")


@pytest.mark.integration
def test_two_processes_of_which_one_is_signalled(parts, tmp_path):
    command = finetune(parts, tmp_path / "out", "--epochs", 24, *NEVER)
    ranks = [start(*command, **variables) for variables in two_ranks()]
    wait_for((tmp_path / "out/labels/losses.csv").exists, ranks[0])
    ranks[1].send_signal(signal.SIGTERM)
    ended = [finish(rank) for rank in ranks]
    assert [ran.code for ran in ended] == [143, 143], ended[0].err + ended[1].err
    step = kept(tmp_path / "out/labels")
    assert f"finetune: stopped after step {step:,}" in ended[0].err
    ranks = [start(*command, **variables) for variables in two_ranks()]
    again = [finish(rank) for rank in ranks]
    assert [ran.code for ran in again] == [0, 0]
    assert f"going on from step {step:,} of 192 (stage finetune)" in again[0].err


def test_a_cache_that_is_being_filled(parts, tmp_path, monkeypatch):
    """It writes what it has every half minute: this stop comes sooner."""
    calls, call = [], Targets.of_group

    def signalled(self, *arguments, **named):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return call(self, *arguments, **named)

    monkeypatch.setattr(Targets, "of_group", signalled)
    ran = tinyaug(*ahead(parts, tmp_path / "cache"))
    assert (ran.code, len(calls)) == (143, 2), ran.err
    assert sum(len(np.fromfile(path, INDEX)) for path in tmp_path.glob("cache/full/*.idx")) == 2 * 32
    assert tinyaug("status", tmp_path / "cache").out == "not complete: run its command again to go on\n"
    done(*ahead(parts, tmp_path / "cache"))
    assert tinyaug("status", tmp_path / "cache").out == "complete\n"


class AnsweredError(BaseException):
    """What the handlers raise that were there before."""


@pytest.fixture
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def answer(number: int, _frame: object) -> None:
        raise AnsweredError(number)

    for number in before:
        signal.signal(number, answer)
    yield answer
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_signal_is_answered_at_the_end(handlers, capfd):
    with pytest.raises(AnsweredError, match="15"), stops_noted("step") as asked:  # noqa: PT012
        assert not asked()
        for _ in range(2):  # as `timeout` sends it
            signal.raise_signal(signal.SIGTERM)
        assert asked()
        if asked():
            raise StoppedError(7)
    assert capfd.readouterr().err == "tinyaug: stopping after this step; once more to stop at once\n"
    assert signal.getsignal(signal.SIGTERM) is handlers


def test_a_second_one_is_answered_at_once(handlers, monkeypatch):
    monkeypatch.setattr(stopping, "SAME_SECONDS", 0.0)
    with pytest.raises(AnsweredError, match="2"), stops_noted("step"):  # noqa: PT012
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("went on")


def test_work_that_another_process_stopped_ends_as_by_sigterm(handlers):
    with pytest.raises(AnsweredError, match="15"), stops_noted("step"):
        raise StoppedError(7)


def test_a_program_of_its_own_keeps_its_ways():
    """SIGTERM ends a process where nobody handles it."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(StoppedError), stops_noted("step"):  # noqa: PT012
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            raise StoppedError(7)
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.integration
def test_reading_workers_outlive_a_signal_to_the_group(tmp_path):
    """The parent has a step to finish; its workers end when it has."""
    shards, reading = write_shards(tmp_path / "data"), tmp_path / "reading"
    process = start_ready("tests.distill.reading_apart", [str(shards), str(reading), "on"], dict(os.environ))
    wait_for(reading.exists, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        os.killpg(process.pid, number)
    ran = finish(process)
    assert (ran.code, ran.out) == (0, "[2, 15]\n"), ran.err
    assert not psutil.wait_procs(workers, timeout=30)[1]
