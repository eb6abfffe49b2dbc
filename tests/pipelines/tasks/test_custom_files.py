from __future__ import annotations

import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.feather as feather
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from pipelines.errors import UserError
from pipelines.tasks import CustomOptions, open_task
from pipelines.tasks.custom_files import custom_files
from tests.pipelines.tasks.reading import custom_rows, write

PACKERS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


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
    with pytest.raises(UserError, match=r"expected a file named train .* of \.csv, .*\.feather, or"):
        custom_files(tmp_path)


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize(
    ("name", "content"),
    [("train.csv", "t,y\n\"a\nb\",p\nc,q\n"), ("train.TSV", "t\ty\na\\nb\tp\nc\tq\n"),
     ("train-0.jsonl", '{"t": "a", "y": "p"}\n{"t": "c", "y": "q"}\n')],
)  # fmt: skip
def test_packed_text_reads_as_unpacked(tmp_path, name, content, packing):
    write(tmp_path / "plain" / name, content)
    path = write(tmp_path / "packed" / f"{name}{packing}", PACKERS[packing](content.encode()))
    expected = custom_rows(tmp_path / "plain", "t", label="y")
    assert custom_rows(tmp_path / "packed", "t", label="y") == expected
    assert custom_rows(path, "t", label="y") == expected
    assert open_task("custom", path, CustomOptions(("t",))).split("train").files[0].bytes == path.stat().st_size


@pytest.mark.parametrize("packing", [".gz", ".bz2", ".xz", ".zst"])
def test_damaged_archives_are_named(tmp_path, packing):
    whole = PACKERS[packing](b"t,y\n" + b"".join(b"text %d,p\n" % number for number in range(5000)))
    path = write(tmp_path / f"r.csv{packing}", whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"r\.csv.*expected a readable file"):
        custom_rows(path, "t", label="y")


def test_packed_parquet_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"found the suffix '\.gz'"):
        custom_files(write(tmp_path / "r.parquet.gz", "x"))


def saved(folder):
    features = Features({"text": Value("string"), "y": ClassLabel(names=["b", "a"])})
    train = Dataset.from_dict({"text": ["one", "two", "three"], "y": [1, 0, 1]}, features=features)
    test = Dataset.from_dict({"text": ["four"], "y": [0]}, features=features)
    DatasetDict({"train": train, "test": test}).save_to_disk(folder / "both", num_shards={"train": 2, "test": 1})
    train.save_to_disk(folder / "one")
    return folder


def test_what_datasets_saved_to_disk(tmp_path):
    saved(tmp_path)
    write(tmp_path / "one" / "cache-12ab.arrow", (tmp_path / "one" / "data-00000-of-00001.arrow").read_bytes())
    for place in (tmp_path / "both", tmp_path / "one", tmp_path / "one" / "data-00000-of-00001.arrow"):
        rows, bad = custom_rows(place, "text", label="y")
        assert [(row["source_idx"], row["text"], row["y"]) for row in rows] == [
            (0, "one", 1), (1, "two", 0), (2, "three", 1),
        ]  # fmt: skip
        assert bad == []
        assert open_task("custom", place, CustomOptions(("text",), "y")).task.label.names == ("b", "a")
    assert [row["text"] for row in custom_rows(tmp_path / "both", "text", label="y", part="test")[0]] == ["four"]


def test_saved_data_that_is_incomplete_is_refused(tmp_path):
    one = saved(tmp_path) / "one"
    arrow = one / "data-00000-of-00001.arrow"
    whole = arrow.read_bytes()
    arrow.write_bytes(whole[:-8])
    with pytest.raises(UserError, match="found one without its end"):
        custom_rows(one, "text")
    arrow.unlink()
    with pytest.raises(UserError, match=r"expected data-00000-of-00001\.arrow as state\.json says, found none"):
        custom_rows(one, "text")
    arrow.write_bytes(whole)
    state = json.loads((one / "state.json").read_text())
    write(one / "state.json", json.dumps(state | {"_indices_data_files": [{"filename": "indices.arrow"}]}))
    with pytest.raises(UserError, match="found a file of indices"):
        custom_rows(one, "text")


def test_feather(tmp_path):
    feather.write_feather(pa.table({"t": ["a", "b"], "y": ["q", "p"]}), tmp_path / "train.feather")
    assert [(row["t"], row["y"]) for row in custom_rows(tmp_path, "t", label="y")[0]] == [("a", 1), ("b", 0)]
    with pytest.raises(UserError, match="expected an Arrow file"):
        custom_rows(write(tmp_path / "r.arrow", "no arrow"), "t")
