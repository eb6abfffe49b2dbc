"""Runs that were killed, or are done by two processes: the same curve and gradient, and no run of another kind."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
import torch

from distill.checkpoints import LossCurve, RunState
from distill.errors import DistillError
from distill.folder_lock import folder_lock
from distill.losses import HeadReduction, LossSettings
from distill.objectives import IntermediateStage, LabelStage
from distill.teacher import Teacher
from distill.training import train
from distill.training_settings import Hooks, Progress, TrainSettings
from tests.distill.data import open_stream
from tests.distill.models import tiny_encoder, tiny_student
from tests.distill.runs import BrokenOff, losses, tiny_pair, tiny_run, tiny_targets, weights
from tests.ranks import two_ranks
from tests.ready import Process, start_ready

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 120  # seconds until a process that hangs fails its test


def start(data, folder, cache="", kill_at="", dropout=0.1, max_steps="", **environment) -> Process:
    """The tiny run in a process of its own."""
    arguments = [str(part) for part in (data, folder, cache, kill_at, dropout, max_steps)]
    return start_ready("tests.distill.runs", arguments, {**os.environ, **environment})


@pytest.mark.integration
# The first epoch of 13 steps fills the cache, the second one reads it.
@pytest.mark.parametrize(("cached", "kill_at"), [(False, 6), (True, 6), (True, 17)])
def test_kill_and_resume_gives_the_same_curve(data, tmp_path, cached, kill_at):
    caches = (tmp_path / "cache-a", tmp_path / "cache-b") if cached else ("", "")
    killed = start(data, tmp_path / "killed", caches[0], kill_at)
    assert killed.wait(PATIENCE) == -signal.SIGKILL
    assert len(losses(tmp_path / "killed")) == kill_at
    resumed, state = tiny_run(data, tmp_path / "killed", caches[0] or None)
    whole, _ = tiny_run(data, tmp_path / "whole", caches[1] or None)
    curve = (tmp_path / "killed" / "losses.csv").read_bytes()
    assert curve == (tmp_path / "whole" / "losses.csv").read_bytes()
    assert state.step == 26
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(resumed).items())
    if cached:
        names = sorted(path.name for path in caches[0].iterdir())
        assert all((caches[0] / n).read_bytes() == (caches[1] / n).read_bytes() for n in names)


def run_of_two(*arguments, **options) -> list[int]:
    """Exit codes of the tiny run as two processes over gloo."""
    ranks = [start(*arguments, **options, dropout=0.0, **variables) for variables in two_ranks()]
    return [rank.wait(PATIENCE) for rank in ranks]


def first_moments(folder: Path) -> list[torch.Tensor]:
    """After one step of Adam: a tenth of the gradient, by parameter."""
    states = torch.load(next(folder.glob("step-*")) / "optimiser.pt", weights_only=True)
    return [state["exp_avg"] for state in states["optimiser"]["state"].values()]


@pytest.mark.integration
def test_two_processes_give_the_single_process_gradient(data, tmp_path):
    assert run_of_two(data, tmp_path / "two", max_steps=1) == [0, 0]
    tiny_run(data, tmp_path / "one", dropout=0.0, max_steps=1)
    ours, single = first_moments(tmp_path / "two"), first_moments(tmp_path / "one")
    assert len(ours) == len(single) > 30
    for mine, theirs in zip(ours, single, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-8)


@pytest.mark.integration
def test_two_processes_fill_one_cache(data, tmp_path):
    assert run_of_two(data, tmp_path / "two", tmp_path / "cache-a") == [0, 0]
    tiny_run(data, tmp_path / "one", tmp_path / "cache-b", dropout=0.0)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=2e-4)
    assert len(list((tmp_path / "cache-a").glob("*.json"))) == 4


@pytest.mark.integration
def test_one_process_goes_on_with_what_two_have_cached(data, tmp_path):
    """Killed with two processes, stopped with one, and finished by it: nothing of the cache is made twice or lost."""
    run, cache = tmp_path / "run", tmp_path / "cache"
    assert run_of_two(data, run, cache, kill_at=6)[0] == -signal.SIGKILL
    assert any(".r1." in path.name for path in cache.iterdir())
    alone = {"dropout": 0.0, "accumulation": 2}

    with pytest.raises(BrokenOff):
        tiny_run(data, run, cache, stop_at=10, **alone)
    _, state = tiny_run(data, run, cache, **alone)
    assert state.step == 26
    assert len(list(cache.glob("*.json"))) == 4
    assert any(".r1." in path.name for path in cache.iterdir())
    tiny_run(data, tmp_path / "whole", tmp_path / "other", **alone)
    assert losses(run) == pytest.approx(losses(tmp_path / "whole"), rel=2e-4)


def test_max_steps_end_the_run_and_it_comes_back_at_once(data, tmp_path):
    _, state = tiny_run(data, tmp_path, max_steps=7, epochs=5)
    assert state.step == len(losses(tmp_path)) == 7
    last = list(csv.DictReader((tmp_path / "losses.csv").open()))[-1]
    assert 0 < float(last["learning_rate"]) < 1e-3
    before = (tmp_path / "losses.csv").read_bytes()
    _, again = tiny_run(data, tmp_path, max_steps=7, epochs=5)
    assert again == state
    assert (tmp_path / "losses.csv").read_bytes() == before


def test_other_settings_and_folders_in_use_are_refused(data, tmp_path):
    tiny_run(data, tmp_path, epochs=1)
    with pytest.raises(DistillError, match=r"expected learning_rate 0\.5"):
        tiny_run(data, tmp_path, epochs=1, learning_rate=0.5)
    with folder_lock(tmp_path), pytest.raises(DistillError, match=f"in use by process {os.getpid()} on"):
        tiny_run(data, tmp_path, epochs=1)
    state = next(tmp_path.glob("step-*")) / "state.json"
    state.write_text(json.dumps({})[:1])
    with pytest.raises(DistillError, match="cannot be read"):
        tiny_run(data, tmp_path, epochs=1)


def test_going_on_with_another_teacher_or_other_losses_is_refused(data, tmp_path):
    stream = open_stream(data)

    def go(losses: LossSettings, teacher_seed=0, layers=(2, 4), stop=None, **student_changes) -> int:
        student, _ = tiny_pair(**student_changes)
        teacher = Teacher(tiny_encoder(seed=teacher_seed), layers)

        def progress(now) -> None:
            if stop and now.step >= stop:
                raise BrokenOff

        settings = TrainSettings(epochs=1, learning_rate=1e-3, cpu=True, checkpoint_every=4, log_every=1)
        stage = IntermediateStage(student, teacher, losses)
        return train(stage, stream, tiny_targets(teacher, stream, None), tmp_path, settings, Hooks(progress)).step

    with pytest.raises(BrokenOff):
        go(LossSettings(), stop=6)
    with pytest.raises(DistillError, match="expected teacher"):
        go(LossSettings(), teacher_seed=7)
    with pytest.raises(DistillError, match=r"expected losses .*5\.0"):
        go(LossSettings(layer_weights=(5.0, 0.0, 1.0, 1.0)))
    with pytest.raises(DistillError, match=r"expected layer_map \[1, 4\]"):
        go(LossSettings(), layers=(1, 4))
    with pytest.raises(DistillError, match=r"expected model .*'num_attention_heads': 2"):
        go(LossSettings(heads=HeadReduction.MEAN), num_attention_heads=2)
    assert go(LossSettings()) == 13


def rewrite(data: Path, change) -> None:
    """Makes the second shard of a data set anew."""
    path = sorted(data.glob("*.parquet"))[1]
    pq.write_table(change(pq.read_table(path)), path, row_group_size=10)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.take(list(range(table.num_rows))[::-1]),
        lambda table: table.set_column(0, "sentence", [["a film"] * table.num_rows]),
    ],
)
def test_going_on_with_other_rows_is_refused(data, tmp_path, change):
    rows = shutil.copytree(data, tmp_path / "rows")
    with pytest.raises(BrokenOff):
        tiny_run(rows, tmp_path / "run", stop_at=6)
    rewrite(rows, change)
    with pytest.raises(DistillError, match=r"expected shards 'train-00001-of-00003\.parquet, sha256 .* Resume with"):
        tiny_run(rows, tmp_path / "run")


def test_shards_are_read_for_their_digests_once(data, tmp_path, monkeypatch):
    rows = shutil.copytree(data, tmp_path / "rows")
    for path in rows.iterdir():
        os.utime(path, (1, 1))
    read: list[str] = []
    real = hashlib.sha256
    counted = SimpleNamespace(sha256=lambda: read.append("") or real())
    monkeypatch.setattr("distill.digests.hashlib", counted)
    monkeypatch.setattr("distill.digests._known", {})
    with pytest.raises(BrokenOff):
        tiny_run(rows, tmp_path / "run", stop_at=6)
    assert len(read) == 3
    with pytest.raises(BrokenOff):
        tiny_run(rows, tmp_path / "run", stop_at=10)
    assert len(read) == 3
    rewrite(rows, lambda table: table.slice(1))
    with pytest.raises(DistillError, match="expected shards"):
        tiny_run(rows, tmp_path / "run")
    assert len(read) == 4


def test_pace_and_seconds_after_a_resume(data, tmp_path, monkeypatch):
    """With a clock that goes on by a second at each look: no step is faster, and what was done took its time."""
    clock = iter(range(10**6))
    monkeypatch.setattr("distill.training.time.perf_counter", lambda: float(next(clock)))
    seen: list[Progress] = []

    def go(stop=None) -> RunState:
        def progress(now: Progress) -> None:
            seen.append(now)
            if now.step == stop:
                raise BrokenOff

        settings = TrainSettings(epochs=2, learning_rate=1e-3, cpu=True, checkpoint_every=4, log_every=1)
        return train(LabelStage(tiny_student()), open_stream(data), None, tmp_path, settings, Hooks(progress))

    with pytest.raises(BrokenOff):
        go(stop=18)
    [kept] = tmp_path.glob("step-*")
    before = json.loads((kept / "state.json").read_text())["state"]["seconds"]
    assert before >= 16
    del seen[:]
    last = go()
    assert seen[0].step == 17
    assert max(now.examples_per_s for now in seen) <= 8
    assert last.seconds >= before + 10


def test_torn_lines_of_the_curve_are_dropped(tmp_path):
    path, whole = tmp_path / "losses.csv", "step,epoch,loss\n1,0,0.5\n2,0,0.25\n"
    for torn in ("", "1", "2,0,0.12", "2,0\n", "30,0,0.1\n"):
        path.write_text(whole + torn)
        LossCurve(path, 2)
        assert path.read_text() == whole
    path.write_text(whole.replace("0.5\n2", "0.2"))  # two lines that ran into one
    LossCurve(path, 2)
    assert path.read_text() == "step,epoch,loss\n"
