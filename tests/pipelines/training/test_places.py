"""Data in the wrong place: messages say which option takes it, and name files by their format."""

from __future__ import annotations

import csv
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.errors import DistillError
from distill.reading import Columns, open_shards
from tests.pipelines.jobs import done, refused
from tests.pipelines.training.verbs import distill, evaluate


@pytest.fixture(scope="module")
def custom(parts, tmp_path_factory):
    """The task's train and dev parts as csv; look, don't touch."""
    folder = tmp_path_factory.mktemp("custom")
    for part in ("train", "dev"):
        lines = (parts.data / f"{part}.tsv").read_text().splitlines()
        with (folder / f"{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(line.split("\t") for line in lines)
    return folder


def judged(parts, data, *more) -> list[str]:
    return ["evaluate", "--task", "custom", "--text", "sentence", "--data", str(data), "--device", "cpu",
            "--model", str(parts.teacher), *map(str, more)]  # fmt: skip


def test_no_labelled_dev_rows(parts, custom, tmp_path):
    """A forgotten label, a single file, a folder without a dev part, no data at all: one message has the remedies."""
    shutil.copy(custom / "train.csv", tmp_path / "train.csv")
    label = ("--label", "label", "--label-names", "0,1")
    nowhere = judged(parts, custom)
    place = nowhere.index("--data")
    del nowhere[place : place + 2]
    for command in (judged(parts, custom), judged(parts, custom / "dev.csv", *label), judged(parts, tmp_path, *label),
                    nowhere):  # fmt: skip
        said = refused(command)
        assert "--task custom: expected labelled dev rows to evaluate on, found none; give a folder that has a" in said
        assert said.endswith("as --data (a single file counts as train) and its labels as --label, or --dev-split")
    said = refused(evaluate(parts, parts.teacher, "--data", parts.data / "dev.tsv"))
    assert "has a dev.tsv as --data (a single file counts as train), or ask for --submission alone" in said


def test_train_takes_parquet(parts, custom, tmp_path):
    for place in (custom / "train.csv", custom):
        said = refused(distill(parts, tmp_path / "s", "--train", place))
        assert "--train takes Parquet, a csv goes into --data" in said
        assert "damaged" not in said


def test_a_run_directory_is_not_its_shards(parts, tmp_path):
    place = parts.train.parent
    said = refused(distill(parts, tmp_path / "s", "--train", place))
    assert f"--train {place}: expected a folder of Parquet shards, found the run directory" in said
    assert f"give {place}/augmented" in said


def test_folders_that_hold_more_than_shards(parts, tmp_path):
    shards = shutil.copytree(parts.train / "data", tmp_path / "shards")
    (shards / "notes.csv").write_text("a,b\n")
    done(*distill(parts, tmp_path / "s", "--train", shards, "--max-steps", 1))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/metrics.json").write_text("{}")
    assert "found none" in refused(distill(parts, tmp_path / "t", "--train", tmp_path / "empty"))


def test_one_shard_without_rows(tmp_path):
    for name, said in (("one", "its one shard has none"), ("two", "its 2 shards have none")):
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / f"{name}.parquet")
        with pytest.raises(DistillError, match=said):
            open_shards(str(tmp_path), Columns(("text",)))
