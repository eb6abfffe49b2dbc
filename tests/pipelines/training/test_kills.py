"""A killed training goes on and ends with the same bytes as one that was left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.pipelines.jobs import REPOSITORY, in_a_process, kill, start, wait_for
from tests.pipelines.training.verbs import distill, finetune, metrics

pytestmark = pytest.mark.integration
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # sums depend on the number of threads in their last bits
SAME = ("model.safetensors", "projections.safetensors", "intermediate/losses.csv", "prediction/losses.csv",
        "prediction/dev.csv", "README.md", "config.json")  # fmt: skip


def results(folder) -> dict:
    found = metrics(folder)
    del found["files"]
    for stage in found["stages"].values():
        del stage["seconds"]
    return found


@pytest.mark.parametrize("cache", ["auto", "off"])
def test_distillation_killed_in_both_stages(parts, tmp_path, cache):
    more = ("--cache", cache, "--epochs-intermediate", 8, "--epochs-prediction", 8, "--checkpoint-every", 7,
            "--seed", 3)  # fmt: skip
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert in_a_process(*distill(parts, undisturbed, *more), **ONE_THREAD).code == 0
    for stage in ("intermediate", "prediction"):
        process = start(*distill(parts, killed, *more), **ONE_THREAD)
        wait_for(lambda stage=stage: len(list((killed / stage).glob("step-*"))) == 1, process)
        kill(process)
        assert not (killed / "metrics.json").exists()
        assert (killed / "intermediate/student").is_dir() == (stage == "prediction")
    ran = in_a_process(*distill(parts, killed, *more), **ONE_THREAD)
    assert ran.code == 0, ran.err
    assert "intermediate: done already" in ran.err
    assert "judging the teacher" not in ran.err
    assert {name: (killed / name).read_bytes() for name in SAME} == {
        name: (undisturbed / name).read_bytes() for name in SAME
    }
    assert results(killed) == results(undisturbed)


def test_fine_tuning_killed(parts, tmp_path):
    more = ("--epochs", 10, "--checkpoint-every", 7)
    assert in_a_process(*finetune(parts, tmp_path / "undisturbed", *more), **ONE_THREAD).code == 0
    process = start(*finetune(parts, tmp_path / "killed", *more), **ONE_THREAD)
    wait_for(lambda: list((tmp_path / "killed/labels").glob("step-*")), process)
    kill(process)
    assert not (tmp_path / "killed/model.safetensors").exists()
    assert in_a_process(*finetune(parts, tmp_path / "killed", *more), **ONE_THREAD).code == 0
    for name in ("model.safetensors", "labels/losses.csv", "labels/dev.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


READING = """
import sys, time
from pathlib import Path
from distill.shards import Position
from tests.distill.data import open_stream, write_shards
if __name__ == "__main__":
    stream = open_stream(write_shards(Path(sys.argv[1])), workers=1)
    next(stream.batches(Position()))
    Path(sys.argv[1], "reading").touch()
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_reading_workers_end_with_their_parent(tmp_path, number):
    """SIGINT goes to the whole group, as Ctrl-C does; the workers say nothing of it."""
    (tmp_path / "reading.py").write_text(READING)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "reading.py", tmp_path / "data"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: (tmp_path / "data/reading").exists(), process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    (process.kill if number == signal.SIGKILL else lambda: os.killpg(process.pid, signal.SIGINT))()
    said = process.communicate(timeout=120)[1]
    assert not psutil.wait_procs(workers, timeout=30)[1]
    assert "SpawnProcess" not in said
