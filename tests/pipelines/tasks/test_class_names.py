"""Names of classes: one in every part and format, what stands for no label, and what is no single label."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, Value

from pipelines.errors import UserError
from pipelines.tasks import CustomOptions, open_task
from tests.pipelines.tasks.reading import custom_rows, rows_of, write


def names_of(path, **options):
    return open_task("custom", path, CustomOptions(("t",), "y", **options)).task.label.names


@pytest.mark.parametrize(
    ("train", "dev"),
    [
        (["1.0", "3.0", "2.0"], ["2", "3"]),
        (["1", "3", "2"], ["2.0", "3.00"]),
        ([1.0, 3.0, 2.0], [2, 3]),
        ([1, 3, 2], [2.0, 3.0]),
        (["1 ", " 3", "2"], ["2", "\t3"]),
        ([1, 3, 2], [b"2", b"3.0 "]),
        ([1, 3, 2], [Decimal("2.0"), Decimal(3)]),
    ],
)
def test_a_class_has_one_name_in_every_part_and_format(tmp_path, train, dev):
    pq.write_table(pa.table({"t": ["a", "b", "c"], "y": train}), tmp_path / "train.parquet")
    pq.write_table(pa.table({"t": ["d", "e"], "y": dev}), tmp_path / "dev.parquet")
    assert names_of(tmp_path, label_type="class") == ("1", "2", "3")
    assert [row["y"] for row in custom_rows(tmp_path, "t", label="y", label_type="class")[0]] == [0, 2, 1]
    rows, bad = custom_rows(tmp_path, "t", label="y", label_type="class", part="validation")
    assert ([row["y"] for row in rows], bad) == ([1, 2], [])


@pytest.mark.parametrize(
    "labels",
    [
        ["1.5", "2.50", "2.5", " 0.10 ", "1e0", "1"],
        [Decimal("1.50"), Decimal("2.50"), Decimal("2.5"), Decimal("0.10"), Decimal(1), Decimal("1.0")],
        pa.array([1.5, 2.5, 2.5, 0.1, 1, 1], pa.float32()),
        pa.array([1.5, 2.5, 2.5, 0.1, 1, 1], pa.float32()).cast(pa.float16()),
        [1.5, 2.5, 2.5, 0.1, 1.0, 1.0],
    ],
)
def test_a_number_with_a_fraction_has_one_name_too(tmp_path, labels):
    pq.write_table(pa.table({"t": list("abcdef"), "y": labels}), tmp_path / "train.parquet")
    assert names_of(tmp_path, label_type="class") == ("0.1", "1", "1.5", "2.5")
    write(tmp_path / "dev.csv", "t,y\na,2.5\nb,0.1\nc,1e0\nd,1.50\n")
    rows, bad = custom_rows(tmp_path, "t", label="y", label_type="class", part="validation")
    assert ([row["y"] for row in rows], bad) == ([3, 0, 1, 2], [])


def test_great_exponents_are_text(tmp_path):
    path = write(tmp_path / "r.csv", "t,y\na,1e999999999\nb,0e-999999999\nc,1E3\n")
    assert names_of(path, label_type="class") == ("0e-999999999", "1000", "1e999999999")


def test_a_column_without_any_label_is_named(tmp_path):
    pq.write_table(pa.table({"t": ["a", "b"], "y": [float("nan"), None]}), tmp_path / "r.parquet")
    for options in ({}, {"label_type": "class"}):
        with pytest.raises(UserError, match="label column 'y': expected labels, found none"):
            names_of(tmp_path / "r.parquet", **options)


@pytest.mark.parametrize(
    "train", ["1.5 2.5", "1-star 2-star", "class_1 class_2", "01 02", "+1 +2", "no yes", "b a"], ids=str.split
)
def test_no_name_is_taken_for_a_position_that_was_not_told(tmp_path, train):
    write(tmp_path / "train.csv", "t,y\n" + "".join(f"x,{label}\n" for label in train.split()))
    names = tuple(sorted(train.split()))
    write(tmp_path / "dev.csv", f"t,y\na,0\nb,1\nc,{names[1]}\n")
    _, bad = custom_rows(tmp_path, "t", label="y", label_type="class", part="validation")
    assert [row.line for row in bad] == [2, 3]
    rows, _ = custom_rows(tmp_path / "dev.csv", "t", label="y", label_names=names)
    assert [row["y"] for row in rows] == ([0, 1, 1] if names in (("no", "yes"), ("a", "b")) else [1])


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("covid19 flu", True),
        ("G20 G7", True),
        ("class_0 class_1", True),
        ("1-star 2-stars", False),
        ("1-star 2-stars unknown", False),
        ("1-(bad) 2 3-(good)", False),
        ("neg 0", False),
    ],
)
def test_positions_are_taken_unless_the_names_number_the_classes_otherwise(tmp_path, names, taken):
    path = write(tmp_path / "r.csv", f"t,y\na,1\nb,{names.split()[0]}\n")
    _, bad = custom_rows(path, "t", label="y", label_names=tuple(names.split()))
    assert [row.line for row in bad] == ([] if taken else [2])


def test_what_to_do_about_positions_is_said(tmp_path):
    path = write(tmp_path / "r.csv", "t,y\na,0\nb,class_1\n")
    [bad] = custom_rows(path, "t", label="y", label_names=("class_1", "class_2"))[1]
    assert "found '0' (a position, which the names seem to number otherwise; give --label-names without" in bad.error
    write(tmp_path / "train.csv", "t,y\na,pos\nb,neg\n")
    write(tmp_path / "dev.csv", "t,y\na,0\nb,pos\n")
    [bad] = custom_rows(tmp_path, "t", label="y", part="validation")[1]
    assert "found '0' (a position; give --label-names in the order of the numbers)" in bad.error


@pytest.mark.parametrize("names", [("False", "True"), ("true", "false")])
def test_truth_values_are_0_and_1_whatever_their_order(tmp_path, names):
    path = write(tmp_path / "r.jsonl", "".join(f'{{"t": "a", "y": {y}}}\n' for y in ("0", "true", '"FALSE"', '"1.0"')))
    rows, bad = custom_rows(path, "t", label="y", label_names=names)
    assert [names[row["y"]].lower() for row in rows] == ["false", "true", "false", "true"]
    assert bad == []


def test_truth_values_are_spelled_in_any_case(tmp_path):
    write(tmp_path / "train.jsonl", '{"t": "a", "y": true}\n{"t": "b", "y": false}\n')
    write(tmp_path / "dev.csv", "t,y\na,True\nb,FALSE\n")
    rows, bad = custom_rows(tmp_path, "t", label="y", part="validation")
    assert ([row["y"] for row in rows], bad) == ([1, 0], [])
    assert names_of(write(tmp_path / "mixed.csv", "t,y\na,True\nb,true\nc,FALSE\nd,\n")) == ("false", "true")
    assert names_of(write(tmp_path / "alike.csv", "t,y\na,True\nc,False\n")) == ("False", "True")


def test_whole_numbers_stored_as_class_positions(tmp_path):
    features = Features({"t": Value("string"), "y": ClassLabel(names=["1", "2", "3"])})
    pq.write_table(
        pa.table({"t": ["a", "b"], "y": [1.0, 0.0]}).replace_schema_metadata(features.arrow_schema.metadata),
        tmp_path / "r.parquet",
    )
    assert [row["y"] for row in custom_rows(tmp_path / "r.parquet", "t", label="y")[0]] == [1, 0]


def test_blanks_around_labels_are_left_out_and_said_so(tmp_path):
    path = write(tmp_path / "r.csv", "t,y\n a ,0 \nb, 0\nc,1\u00a0\nd, \n")
    opened = open_task("custom", path, CustomOptions(("t",), "y"), on_bad=lambda _: None)
    assert opened.task.label.names == ("0", "1")
    assert [(row["t"], row["y"]) for row in rows_of(opened.split("train"))] == [(" a ", 0), ("b", 0), ("c", 1)]
    assert opened.notes() == ("label column 'y': blanks around labels are left out, such as those of '0 '",)
    with pytest.raises(UserError, match="--label-names: expected different names"):
        names_of(path, label_names=("0", "1", "1 "))


@pytest.mark.parametrize(
    ("labels", "names", "lines"),
    [
        ("0 1 2 -1", ("0", "1", "2"), [5]),
        ("0 1 -1.0", ("0", "1"), [4]),
        ("0 1 -5", ("0", "1"), [4]),
        ("joy fear - fear", ("fear", "joy"), [4]),
        ("joy fear -1", ("fear", "joy"), [4]),
        ("1 0 #N/A \\N", ("0", "1"), [4, 5]),
        ("-1 1 1", ("-1", "1"), []),
        ("-2 -1 0 1 2", ("-2", "-1", "0", "1", "2"), []),
        ("+ - 0", ("+", "-", "0"), []),
        ("y -", ("-", "y"), []),
    ],
)
def test_marks_of_a_missing_label(tmp_path, labels, names, lines):
    path = write(tmp_path / "r.csv", "t,y\n" + "".join(f"x,{label}\n" for label in labels.split()))
    assert names_of(path, label_type="class") == names
    _, bad = custom_rows(path, "t", label="y", label_type="class")
    assert [row.line for row in bad] == lines
    assert all("(a missing label; --label-names makes it a class)" in row.error for row in bad)
    every = tuple(dict.fromkeys(labels.split()))
    assert custom_rows(path, "t", label="y", label_names=every)[1] == []


@pytest.mark.parametrize(
    ("labels", "mark"), [("-1 1", "-1"), ("-1 -1", "-1"), ("joy -", "-"), ("-2 -1", None), ("no yes", None)]
)
def test_a_mark_that_is_kept_as_a_class_is_said(tmp_path, labels, mark):
    path = write(tmp_path / "r.csv", "t,y\n" + "".join(f"x,{label}\n" for label in labels.split()))
    note = f"label column 'y': read as a class, though it often stands for a missing label: {mark}"
    assert open_task("custom", path, CustomOptions(("t",), "y")).notes() == ((note,) if mark else ())


@pytest.mark.parametrize("label", ["['a', 'b']", "['a' 'b']", "[]", "[0, 1]", '["a"]', "{'a'}", "('a', 'b')"])
def test_lists_of_labels_are_named_as_such(tmp_path, label):
    path = write(tmp_path / "r.csv", f't,y\nx,"{label.replace(chr(34), chr(34) * 2)}"\n')
    with pytest.raises(UserError, match="several of them, or one for each token, are not supported"):
        names_of(path)
    assert names_of(write(tmp_path / "b.csv", "t,y\nx,[positive]\ny,(1)\n")) == ("(1)", "[positive]")


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.int64()), pa.struct([("a", pa.int64())])])
def test_columns_of_lists_are_neither_text_nor_label(tmp_path, kind):
    pq.write_table(pa.table({"t": ["a"], "y": pa.array([None], kind)}), tmp_path / "r.parquet")
    with pytest.raises(UserError, match="several labels a row"):
        custom_rows(tmp_path / "r.parquet", "t", label="y")
    with pytest.raises(UserError, match="expected text in column 'y', found a list of tokens"):
        custom_rows(tmp_path / "r.parquet", "y")
    write(tmp_path / "r.jsonl", '{"t": ["a", "b"], "y": ["c"]}\n')
    with pytest.raises(UserError, match="found a list of tokens"):
        custom_rows(tmp_path / "r.jsonl", "t")
