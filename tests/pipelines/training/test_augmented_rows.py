"""Teachers learn from augmented rows as students do, and rows that we wrote are read by every verb that trains."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
from safetensors.torch import load_file

from tests.pipelines.jobs import done, refused, rows
from tests.pipelines.training.verbs import finetune, metrics, run, run_json


def test_a_teacher_learns_from_the_rows_of_train(parts, tmp_path):
    """Those of the folder are the same as its own rows, given as a task's data."""
    named, own, file = tmp_path / "named", tmp_path / "own", tmp_path / "train.parquet"
    pq.write_table(pq.read_table(parts.train / "data"), file)
    done(*finetune(parts, named, "--train", file, "--max-steps", 3))
    custom = ("--task", "custom", "--text", "sentence", "--label", "label", "--label-names", "negative,positive")
    done(*finetune(parts, own, "--data", file, *custom, "--max-steps", 3))
    assert metrics(named)["rows"] == metrics(own)["rows"] == pq.read_metadata(file).num_rows > 60
    assert {name: len(files) for name, files in run_json(named)["inputs"].items()} == {"train": 1, "dev": 1}
    mine, theirs = (load_file(folder / "model.safetensors") for folder in (named, own))
    assert all((mine[name] == theirs[name]).all() for name in mine)


def test_rows_that_another_program_has_filtered(parts, tmp_path):
    frame = pd.read_parquet(parts.train / "data")
    frame[frame.variant == 0].to_parquet(tmp_path / "some.parquet")
    custom = ("--task", "custom", "--text", "sentence", "--label", "label", "--data")
    done(*finetune(parts, tmp_path / "model", *custom, tmp_path / "some.parquet", "--max-steps", 1))
    assert metrics(tmp_path / "model")["rows"] == 60
    frame.drop(columns="edits").to_csv(tmp_path / "some.csv", index=False)
    done(*finetune(parts, tmp_path / "other", *custom, tmp_path / "some.csv", "--max-steps", 1))
    assert metrics(tmp_path / "other")["rows"] == len(frame)
    frame.drop(columns=["edits", "variant"]).to_csv(tmp_path / "some.csv", index=False)  # may be somebody else's
    assert "found source_idx. Rename" in refused(finetune(parts, tmp_path / "no", *custom, tmp_path / "some.csv"))


def test_augmented_rows_are_not_augmented_again(inputs, finished, tmp_path):
    command = inputs.augment(
        tmp_path / "run", "--task", "custom", "--text", "sentence", "--data", finished / "augmented"
    )
    assert "found rows of a `tinyaug augment` (columns source_idx and variant)" in refused(command)
    assert not (tmp_path / "run").exists()


def test_a_run_augments_for_its_teacher(parts, tmp_path):
    command = run(parts, tmp_path / "run", "--augment-teacher", "--max-steps", 2)
    planned = done(*command, "--dry-run").out
    assert next(line.split()[:2] for line in planned.splitlines() if "finetune" in line) == ["finetune", "180"]
    done(*command)
    assert metrics(tmp_path / "run/teacher")["rows"] == len(rows(tmp_path / "run")) == 180
    given = run(parts, tmp_path / "no", "--augment-teacher", "--teacher", parts.teacher)
    assert "--augment-teacher: expected no --teacher" in refused(given)
    assert not (tmp_path / "no").exists()
