from __future__ import annotations

import pytest

from pipelines.errors import UserError
from pipelines.tasks.custom_files import custom_files
from tests.pipelines.tasks.reading import write


def found(folder):
    return {
        part: [path.relative_to(folder).as_posix() for path in paths] for part, paths in custom_files(folder).items()
    }


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["train.csv", "dev.csv", "test.csv", "notes.txt"],
         {"train": ["train.csv"], "validation": ["dev.csv"], "test": ["test.csv"]}),
        (["Train.jsonl", "validation.tsv"], {"train": ["Train.jsonl"], "validation": ["validation.tsv"]}),
        (["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "README.md"],
         {"train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]}),
        (["train/b.csv", "train/a.csv", "train/.hidden.csv"], {"train": ["train/a.csv", "train/b.csv"]}),
        (["x.parquet", "y.parquet", "_metadata.parquet"], {"train": ["x.parquet", "y.parquet"]}),
    ],
)  # fmt: skip
def test_parts(tmp_path, names, parts):
    for name in names:
        write(tmp_path / name, "x")
    assert found(tmp_path) == parts


@pytest.mark.parametrize(
    "names",
    [
        ["train.csv", "train.jsonl"],
        ["dev.csv", "validation.csv"],
        ["train.csv", "train-1.csv"],
        ["train.csv", "train/a.csv"],
    ],
)
def test_two_candidates_are_refused(tmp_path, names):
    for name in names:
        write(tmp_path / name, "x")
    with pytest.raises(UserError, match="Keep one of them"):
        custom_files(tmp_path)


def test_nothing_usable(tmp_path):
    with pytest.raises(UserError, match="found nothing there"):
        custom_files(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"found the suffix '\.xlsx'"):
        custom_files(write(tmp_path / "r.xlsx", "x"))
    with pytest.raises(UserError, match=r"expected train\.csv"):
        custom_files(tmp_path)
