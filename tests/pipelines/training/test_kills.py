"""A killed training goes on and ends with the same bytes as one that was left alone."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.distill.data import write_shards
from tests.pipelines.jobs import done, finish, kill, start, wait_for
from tests.pipelines.training.verbs import distill, results
from tests.ready import start_ready

pytestmark = pytest.mark.integration
SAME = ("model.safetensors", "projections.safetensors", "intermediate/losses.csv", "prediction/losses.csv",
        "prediction/dev.csv", "README.md", "config.json")  # fmt: skip


@pytest.mark.parametrize("cache", ["auto", "off"])
def test_distillation_killed_in_both_stages(parts, tmp_path, cache):
    more = ("--cache", cache, "--epochs-intermediate", 4, "--epochs-prediction", 4, "--checkpoint-every", 7,
            "--seed", 3)  # fmt: skip
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    done(*distill(parts, undisturbed, *more))
    for stage in ("intermediate", "prediction"):
        process = start(*distill(parts, killed, *more))
        wait_for(lambda stage=stage: len(list((killed / stage).glob("step-*"))) == 1, process)
        kill(process)
        assert not (killed / "metrics.json").exists()
        assert (killed / "intermediate/student").is_dir() == (stage == "prediction")
    ran = done(*distill(parts, killed, *more))
    assert "intermediate: done already" in ran.err
    assert "judging the teacher" not in ran.err
    assert {name: (killed / name).read_bytes() for name in SAME} == {
        name: (undisturbed / name).read_bytes() for name in SAME
    }
    assert results(killed) == results(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_reading_workers_end_with_their_parent(tmp_path, number):
    """SIGINT goes to the whole group, as Ctrl-C does; the workers say nothing of it."""
    shards, reading = write_shards(tmp_path / "data"), tmp_path / "reading"
    process = start_ready("tests.distill.reading_apart", [str(shards), str(reading)], dict(os.environ))
    wait_for(reading.exists, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    if number == signal.SIGKILL:
        process.send_signal(number)
    else:
        os.killpg(process.pid, number)
    said = finish(process).err
    assert not psutil.wait_procs(workers, timeout=30)[1]
    assert "SpawnProcess" not in said
