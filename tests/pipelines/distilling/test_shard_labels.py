"""Labels of users' own shards: those of another task are refused with file and row; none at all are needed."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.reading import Columns, open_shards
from pipelines.distilling.shards import check_shard_labels
from pipelines.errors import UserError
from pipelines.tasks import METADATA_KEY, Label, Task, features_metadata, find_task
from tests.pipelines.jobs import done, tinyaug
from tests.pipelines.training.verbs import ahead, distill

SST2 = find_task("sst2")
STARS = Task("custom", ("sentence",), Label("label", "class", ("1", "2", "3")))


def check(folder, labels, task=SST2) -> None:
    """Two shards, the second with these labels, two rows a row group."""
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"sentence": ["a film"], "label": [1]}), folder / "p0.parquet")
    table = pa.table({"sentence": ["a film"] * len(labels), "label": labels})
    pq.write_table(table, folder / "p1.parquet", row_group_size=2)
    check_shard_labels(open_shards(str(folder), Columns(("sentence",))), task)


@pytest.mark.parametrize(
    ("labels", "row", "found"),
    [
        ([0, 1, 1, 7], 3, "'7'"),
        ([0, 2], 1, "'2'"),
        ([1.0, 0.5], 1, "'0.5'"),
        (["negative", "positive", "neutral"], 2, "'neutral'"),
        (pa.array(["negative", "neutral"]).dictionary_encode(), 1, "'neutral'"),
        ([[0], [1]], 0, "'[0]'"),
        ([-2], 0, "'-2'"),
    ],
)
def test_a_label_out_of_range(tmp_path, labels, row, found):
    with pytest.raises(UserError, match=r"expected a label of sst2 \(negative, positive, or their") as caught:
        check(tmp_path / "shards", labels)
    assert f"p1.parquet, row {row}, column 'label'" in str(caught.value)
    assert f"found {found}" in str(caught.value)


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, -1, None],
        [0.0, 1.0, float("nan")],
        pa.array([0, 1], pa.int8()),
        np.array([1, 0], np.uint64),
        [True, False, None],
        ["Positive", "NEGATIVE", "True"],
        ["negative", "1", "", "nan"],
        pa.array(["positive", None]).dictionary_encode(),
    ],
)
def test_labels_of_the_task_and_rows_without_one(tmp_path, labels):
    check(tmp_path / "shards", labels)


def test_classes_named_by_numbers_may_be_written_by_position(tmp_path):
    check(tmp_path / "shards", [0, 1, 2, 3], STARS)
    with pytest.raises(UserError, match="found '4'"):
        check(tmp_path / "shards", [0, 4], STARS)


def named(folder, stored, task=SST2) -> None:
    """A shard of theirs whose file names its classes."""
    schema = pa.schema([("sentence", pa.string()), ("label", pa.int64())])
    theirs = Task("custom", ("sentence",), Label("label", "class", stored))
    schema = schema.with_metadata({METADATA_KEY: features_metadata(schema, theirs)})
    pq.write_table(pa.table({"sentence": ["a film"], "label": [1]}, schema), folder / "p0.parquet")
    check_shard_labels(open_shards(str(folder), Columns(("sentence",))), task)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (("entailment", "not_entailment"), "found entailment, not_entailment; name the task that these shards are of"),
        (("negative", "positive", "neutral"), "found negative, positive, neutral;"),
    ],
)
def test_classes_stored_with_shards(tmp_path, stored, said):
    with pytest.raises(UserError, match=r"p0.parquet, column 'label': expected the classes of sst2 \(neg") as refusal:
        named(tmp_path, stored)
    assert said in str(refusal.value)


def test_stored_classes_that_are_the_task_s_or_say_nothing(tmp_path):
    for stored in (("Negative", "POSITIVE"), ("positive", "negative"), ("0", "1"), ("-1", "1"), ("LABEL_0", "LABEL_1")):
        named(tmp_path, stored)
    named(tmp_path, ("negative", "positive"), Task("custom", ("sentence",), Label("label", "class", ("0", "1"))))


def test_scores_have_no_classes(tmp_path):
    check(tmp_path / "shards", [0.3, 99.0], Task("custom", ("sentence",), Label("label", "score")))


def test_shards_of_another_task_make_no_student(parts, tmp_path):
    shards = shutil.copytree(parts.train, tmp_path / "augmented")
    victim = sorted((shards / "data").iterdir())[1]
    table = pq.read_table(victim)
    place = table.schema.get_field_index("label")
    labels = table.column("label").to_pylist()
    wrong = table.set_column(place, "label", pa.array([*labels[:5], 7, *labels[6:]]))
    pq.write_table(wrong, victim)
    for command in (
        distill(parts, tmp_path / "out", "--train", shards),
        ahead(parts, tmp_path / "out", "--train", shards),
    ):
        ran = tinyaug(*command)
        assert ran.code == 2, ran.err
        assert f"{victim}, row 5, column 'label': expected a label of sst2" in ran.err
        assert not (tmp_path / "out").exists()
    for path in (shards / "data").iterdir():
        pq.write_table(pq.read_table(path).drop_columns(["label"]), path)
    done(*distill(parts, tmp_path / "out", "--train", shards, "--max-steps", 1))


@pytest.mark.parametrize("named", ["", "data"])
def test_a_set_of_shards_that_is_not_whole(parts, tmp_path, named):
    shards = shutil.copytree(parts.train, tmp_path / "augmented")
    first, *others = sorted((shards / "data").iterdir())
    first.unlink()
    ran = tinyaug(*distill(parts, tmp_path / "out", "--train", shards / named, "--dry-run"))
    assert (ran.code, f"expected {len(others) + 1} shards train-" in ran.err) == (2, True), ran.err
    assert f"found {len(others)}; run `tinyaug augment` again" in ran.err
