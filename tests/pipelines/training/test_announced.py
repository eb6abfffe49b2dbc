"""What is announced is what is run: examples with short last batches, one warning a command, plans that say it all."""

from __future__ import annotations

import itertools
import json

import pytest

from distill.order import first_examples
from distill.shards import Position
from tests.distill.data import open_stream, write_shards
from tests.pipelines.jobs import done, everything, tinyaug
from tests.pipelines.training.verbs import ahead, distill, finetune, metrics, run


@pytest.mark.parametrize(("rows", "batch", "pool"), [(100, 32, 1000), (100, 8, 40), (96, 8, 40), (7, 8, 16)])
def test_examples_of_the_first_steps(tmp_path, rows, batch, pool):
    stream = open_stream(write_shards(tmp_path, (rows,), 50), batch_rows=batch, pool_rows=pool, seed=5)
    whole = itertools.chain.from_iterable(stream.batches(Position(epoch=epoch)) for epoch in range(3))
    seen, lengths = 0, []
    for step, found in enumerate(whole, start=1):
        seen += len(found)
        lengths.append(len(found))
        assert first_examples(step, rows, batch, 5, pool) == seen
    assert seen == 3 * rows
    assert (min(lengths) < batch) == (rows % batch > 0)


@pytest.mark.parametrize("steps", [6, 13])
def test_announced_examples_are_those_that_are_run(parts, tmp_path, steps):
    """240 rows in batches of 32: the eighth batch of an epoch has 16, and comes in any turn."""
    command = distill(parts, tmp_path / "s", "--max-steps", steps)
    planned = [line.split() for line in done(*command, "--dry-run").out.splitlines()]
    ran = done(*command)
    for stage, told in metrics(tmp_path / "s")["stages"].items():
        assert f"{stage} distillation: {told['examples']:,} examples" in ran.err
        [row] = [line for line in planned if line[:1] == [stage]]
        assert (row[3], row[4]) == (f"{told['steps']:,}", f"{told['examples']:,}")


@pytest.mark.parametrize("verb", [finetune, distill, run])
def test_a_plan_says_what_its_times_leave_out(parts, tmp_path, verb):
    said = done(*verb(parts, tmp_path / "out", "--dry-run")).out
    assert "start-up (loading, checks), evaluation on dev and writing come on top" in said


def test_a_long_run_is_announced_once(parts, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.training.estimates.LONG_ON_CPU", 0.0)
    said = done(*run(parts, tmp_path / "run", "--max-steps", 2)).err
    assert said.count("--profile quick takes") == 1
    assert "all stages will take" in said
    assert "this will take" in done(*distill(parts, tmp_path / "alone", "--max-steps", 2)).err


def test_a_run_that_could_not_be_estimated_is_announced_by_its_stage(parts, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.training.estimates.LONG_ON_CPU", 0.0)
    monkeypatch.setattr("pipelines.whole_run.run_job.announcement", lambda *_: None)
    assert "this will take" in done(*run(parts, tmp_path / "run", "--max-steps", 1)).err


def test_the_plan_of_a_cache(parts, tmp_path):
    out = tmp_path / "cache"
    said = done(*ahead(parts, out, "--dry-run")).out
    assert ["teacher", "240", "1", "8", "240"] in [line.split()[:5] for line in said.splitlines()]
    assert "teacher cache: full" in said
    assert "disk: caches" in said
    assert "checkpoints" not in said
    assert "nothing was written" in said
    assert not out.exists()
    done(*ahead(parts, out))
    words = json.loads((out / "run.json").read_text())["resolved"]["cache"]["words"]
    before = everything(out)
    assert words in done(*ahead(parts, out, "--dry-run")).out
    assert everything(out) == before
    assert "there would be nothing to do" in tinyaug(*ahead(parts, out, "--cache", "off", "--dry-run")).err


def test_a_cache_that_takes_long_names_the_quick_profile(parts, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.training.estimates.LONG_ON_CPU", 0.0)
    assert "--profile quick takes" in done(*ahead(parts, tmp_path / "cache", "--dry-run")).out


def test_sizes_have_a_fitting_unit(parts, tmp_path):
    ran = tinyaug(*distill(parts, tmp_path / "s", "--cache", "full", "--cache-budget", "1kB"))
    assert (ran.code, "expected a cache within 1.0 kB; a full one takes about" in ran.err) == (2, True)
    assert " 0.0 " not in ran.err
