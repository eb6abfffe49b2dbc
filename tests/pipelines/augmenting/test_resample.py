"""Another draw from stored candidates needs nothing but the run directory."""

from __future__ import annotations

import shutil

import pytest

from pipelines.errors import JobError
from tests.fixtures import save_tiny_masked_lm
from tests.pipelines.jobs import Inputs, augment, contents, done, everything, manifest, rows, tinyaug

LOCAL = ("--engine", "local", "--workers", "1")


def shards(run) -> dict[str, str]:
    return {name: digest for name, digest in contents(run).items() if name.startswith("augmented/data")}


def test_equals_a_run_with_that_seed_though_all_else_is_gone(inputs, glove_file, tmp_path):
    data = shutil.copytree(inputs.data, tmp_path / "data/SST-2")
    model = save_tiny_masked_lm(tmp_path / "model")
    done(*augment(Inputs(data, model, glove_file), data, tmp_path / "first", "--task", "sst2"))
    shutil.move(tmp_path / "first", tmp_path / "copied")
    shutil.rmtree(data)
    shutil.rmtree(model)
    told = ("--n", 5, "--p", 0.6, "--seed", 7, "--shard-rows", 25)
    done("resample", "--candidates", tmp_path / "copied", "--out", tmp_path / "second", *told, *LOCAL)
    done(*inputs.augment(tmp_path / "direct", *told))
    assert shards(tmp_path / "second") == shards(tmp_path / "direct")
    assert not (tmp_path / "second/candidates").exists()
    assert manifest(tmp_path / "second")["counts"] == manifest(tmp_path / "direct")["counts"]


def test_leaves_the_source_as_it_was_and_reruns(finished, tmp_path):
    before = everything(finished)
    command = ("resample", "--candidates", finished / "candidates", "--out", tmp_path / "out", "--n", 1, *LOCAL)
    done(*command)
    assert everything(finished) == before
    assert "everything was done already" in done(*command).out
    assert tinyaug("status", tmp_path / "out").code == 0
    assert tinyaug("verify", tmp_path / "out").code == 0
    ran = tinyaug(*command, "--seed", 9)
    assert (ran.code, "--seed: 42 there, 9 now" in ran.err) == (2, True)


def test_without_options_it_gives_the_same_rows(finished, tmp_path):
    done("resample", "--candidates", finished, "--out", tmp_path / "out", *LOCAL)
    assert shards(tmp_path / "out") == shards(finished)


def refused(candidates, out) -> str:
    ran = tinyaug("resample", "--candidates", candidates, "--out", out, *LOCAL)
    assert ran.code == 2
    assert not out.exists()
    return ran.err


def test_context_running_is_refused(inputs, tmp_path):
    done(*inputs.augment(tmp_path / "run", "--preset", "algorithm1", "--limit", 4))
    assert "context running" in refused(tmp_path / "run", tmp_path / "out")


def test_unfinished_candidates_are_refused(inputs, tmp_path, monkeypatch):
    def stop(*_: object) -> None:
        raise JobError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.augmenting.stage_run.run_parts", stop)
        assert tinyaug(*inputs.augment(tmp_path / "run")).code == 1
    assert "expected 1 finished parts, found 0" in refused(tmp_path / "run", tmp_path / "out")


def test_what_is_no_run_with_candidates_is_refused(finished, tmp_path):
    done("resample", "--candidates", finished, "--out", tmp_path / "second", *LOCAL)
    assert str(finished) in refused(tmp_path / "second", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "found no run.json" in refused(tmp_path / "empty", tmp_path / "out")
    assert "found no run.json" in refused(tmp_path / "nowhere", tmp_path / "out")


def test_into_itself_is_refused(finished):
    ran = tinyaug("resample", "--candidates", finished, "--out", finished)
    assert (ran.code, "found the same one" in ran.err) == (2, True)


def test_rejected_rows_stay_rejected(inputs, tmp_path):
    data = tmp_path / "data.csv"
    data.write_text('text\na film\n"a very long film of ten words , too long ."\n')
    assert tinyaug(*inputs.custom(data, tmp_path / "run", "--max-words", 5)).code == 1
    ran = tinyaug("resample", "--candidates", tmp_path / "run", "--out", tmp_path / "out", "--seed", 3, *LOCAL)
    assert ran.code == 1
    assert {row["source_idx"] for row in rows(tmp_path / "out")} == {0}
    assert everything(tmp_path / "out")["rejected.parquet"] == everything(tmp_path / "run")["rejected.parquet"]


@pytest.mark.parametrize("pairs", ["second", "each"])
def test_pairs_that_do_not_exist_are_refused(finished, tmp_path, pairs):
    ran = tinyaug("resample", "--candidates", finished, "--out", tmp_path / "out", "--pairs", pairs, *LOCAL)
    assert (ran.code, f"--pairs {pairs}: expected a task with two texts" in ran.err) == (2, True)
