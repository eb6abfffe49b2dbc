from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import UserError
from pipelines.tasks import CustomOptions, open_task
from tests.pipelines.tasks.reading import custom_rows, rows_of, write


def names_of(path, **options):
    return open_task("custom", path, CustomOptions(("t",), "y", **options)).task.label.names


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ("10 9 -1 9 -2", ("-2", "-1", "9", "10")),
        ("b a Z é", ("Z", "a", "b", "é")),
        ("1 01", ("01", "1")),
        ("2 two", ("2", "two")),
    ],
)
def test_order_of_classes(tmp_path, labels, names):
    path = write(tmp_path / "r.csv", "t,y\n" + "".join(f"x,{label}\n" for label in labels.split()))
    assert names_of(path) == names


def test_truth_values_and_whole_floats(tmp_path):
    assert names_of(write(tmp_path / "r.jsonl", '{"t": "a", "y": true}\n{"t": "b", "y": false}\n')) == ("false", "true")
    pq.write_table(pa.table({"t": ["a", "b"], "y": [1.0, None]}), tmp_path / "r.parquet")
    assert names_of(tmp_path / "r.parquet", label_type="class") == ("1",)


@pytest.mark.parametrize("labels", [("0.5", "2"), ("1.0", "2.0"), ("1e3", "4")])
def test_fractions_must_be_explained(tmp_path, labels):
    path = write(tmp_path / "r.csv", "t,y\n" + "".join(f"x,{label}\n" for label in labels))
    with pytest.raises(UserError, match="--label-type score or --label-type class"):
        names_of(path)
    assert len(names_of(path, label_type="class")) == 2
    rows, _ = custom_rows(path, "t", label="y", label_type="score")
    assert [row["y"] for row in rows] == [float(label) for label in labels]
    lines = "".join(json.dumps({"t": "a", "y": float(label)}) + "\n" for label in labels)
    write(tmp_path / "r.jsonl", lines)
    with pytest.raises(UserError, match="--label-type score"):
        names_of(tmp_path / "r.jsonl")


def test_scores_have_no_bounds_but_must_be_finite(tmp_path):
    path = write(
        tmp_path / "r.jsonl", "".join(f'{{"t": "a", "y": {y}}}\n' for y in ("-7", "NaN", "true", '"2.5"', "1e300"))
    )
    rows, bad = custom_rows(path, "t", label="y", label_type="score")
    assert [row["y"] for row in rows] == [-7.0, 2.5]
    assert [row.source_idx for row in bad] == [1, 2, 4]


def test_label_names_give_the_order(tmp_path):
    path = write(tmp_path / "r.csv", "t,y\na,good\nb,bad\nc,odd\nd,1\n")
    rows, bad = custom_rows(path, "t", label="y", label_names=("good", "bad"))
    assert [row["y"] for row in rows] == [0, 1, 1]
    assert [(row.line, row.column) for row in bad] == [(4, "y")]


def test_labels_unknown_in_train_are_bad_in_dev(tmp_path):
    write(tmp_path / "train.csv", "t,y\na,p\nb,n\n")
    write(tmp_path / "dev.csv", "t,y\na,p\nb,q\nc,\n")
    rows, bad = custom_rows(tmp_path, "t", label="y", part="validation")
    assert [row["y"] for row in rows] == [1]
    assert [row.line for row in bad] == [3, 4]


def test_test_parts_may_lack_labels(tmp_path):
    write(tmp_path / "train.csv", "t,y\na,1\nb,-1\n")
    write(tmp_path / "test.csv", "t\na\n")
    assert custom_rows(tmp_path, "t", label="y", part="test")[0] == [{"source_idx": 0, "t": "a", "y": -1}]
    write(tmp_path / "test.csv", "t,y\na,\nb,-1\nc,1\n")
    rows, _ = custom_rows(tmp_path, "t", label="y", part="test")
    assert [row["y"] for row in rows] == [-1, 0, 1]  # "-1" is a class of this task


@pytest.mark.parametrize("mark", ["nan", "NaN", "None", "NULL", "<NA>", "NA"])
def test_what_stands_for_a_missing_label_is_no_class_of_its_own(tmp_path, mark):
    write(tmp_path / "train.csv", f"t,y\na,1\nb,{mark}\nc,0\n")
    write(tmp_path / "test.csv", f"t,y\na,{mark}\n")
    rows, bad = custom_rows(tmp_path, "t", label="y")
    assert [row["y"] for row in rows] == [1, 0]
    assert [(row.line, row.column) for row in bad] == [(3, "y")]
    assert f"found '{mark}' (a missing label; --label-names makes it a class)" in bad[0].error
    assert [row["y"] for row in custom_rows(tmp_path, "t", label="y", part="test")[0]] == [-1]
    named, bad = custom_rows(tmp_path, "t", label="y", label_names=("0", "1", mark))
    assert ([row["y"] for row in named], bad) == ([1, 2, 0], [])


def test_none_is_a_class_among_names(tmp_path):
    assert names_of(write(tmp_path / "r.csv", "t,y\na,none\nb,joy\nc,nan\n")) == ("joy", "none")


def test_no_label(tmp_path):
    path = write(tmp_path / "r.csv", "t,y\na,1\n")
    task = open_task("custom", path, CustomOptions(("t",)))
    assert (task.task.label.kind, task.task.label.column) == ("none", None)
    assert rows_of(task.split("train")) == [{"source_idx": 0, "t": "a", "y": "1"}]


def test_too_many_classes_and_none(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.tasks.labels.MAX_CLASSES", 3)
    with pytest.raises(UserError, match="more than 3 distinct values"):
        names_of(write(tmp_path / "r.csv", "t,y\n" + "".join(f"x,{n}\n" for n in range(5))))
    with pytest.raises(UserError, match="expected labels, found none"):
        names_of(write(tmp_path / "r.csv", "t,y\na,\n"))
    with pytest.raises(UserError, match=r"expected the label column 'y', found columns t, Y\. Did you mean 'Y'"):
        names_of(write(tmp_path / "r.csv", "t,Y\na,\n"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": ()}, "Name one with --text"),
        ({"text": ("a", "a", "b")}, "--text: expected different columns, found a twice"),
        ({"text": ("a",), "label": "a"}, "--label: expected another column than --text, found a"),
        ({"text": ("a",), "label": "b", "label_type": "odd"}, "expected class, score, none"),
        ({"text": ("a",), "label_type": "class"}, "Name the label column"),
        ({"text": ("a",), "label": "b", "label_type": "none"}, "Leave out --label"),
        ({"text": ("a",), "label": "b", "label_names": ("x", "x")}, "different names"),
        ({"text": ("a",), "label_names": ("x",)}, "expected a label column"),
        ({"text": ("a",), "label": "b", "label_type": "score", "label_names": ("x",)}, "expected a label column"),
    ],
)
def test_contradicting_options(options, message):
    with pytest.raises(UserError, match=message):
        CustomOptions(**options)


def test_the_name_custom_and_its_options_go_together(tmp_path):
    path = write(tmp_path / "r.csv", "t\na\n")
    with pytest.raises(UserError, match=r"--task custom: .* found no --text COLUMN\. Add it"):
        open_task("custom", path)
    with pytest.raises(UserError, match=r"found no --data FILE\. Add it"):
        open_task("custom", None, CustomOptions(("t",)))
    with pytest.raises(UserError, match=r"found no --data FILE and no --text COLUMN\. Add them"):
        open_task("custom", None)
    with pytest.raises(UserError, match="expected --task custom, found --task sst2"):
        open_task("sst2", path, CustomOptions(("t",)))
