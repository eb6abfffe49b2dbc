from __future__ import annotations

import json

import pyarrow as pa
import pytest

from pipelines.errors import UserError
from pipelines.tasks import CustomOptions, open_task
from tests.pipelines.tasks.reading import custom_rows, rows_of, write


def lines(*values: object) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def test_types_are_found_and_nested_values_kept(tmp_path):
    path = write(
        tmp_path / "r.jsonl",
        lines(
            {"t": "one\u2028", "n": 1, "x": 1, "tags": [], "m": {"a": 1}, "z": None, "b": True},
            {"t": "two", "n": 2, "x": 1.5, "tags": ["q"], "m": {"b": [{"c": "d"}]}},
        ),
    )
    split = open_task("custom", path, CustomOptions(("t",))).split("train")
    assert split.schema == pa.schema(
        [
            ("t", pa.string()),
            ("n", pa.int64()),
            ("x", pa.float64()),
            ("tags", pa.list_(pa.string())),
            ("m", pa.struct([("a", pa.int64()), ("b", pa.list_(pa.struct([("c", pa.string())])))])),
            ("z", pa.null()),
            ("b", pa.bool_()),
        ]
    )
    rows, bad = custom_rows(path, "t")
    assert rows[0] == {
        "source_idx": 0, "t": "one\u2028", "n": 1, "x": 1.0, "tags": [], "m": {"a": 1, "b": None}, "z": None, "b": True,
    }  # fmt: skip
    assert rows[1]["m"] == {"a": None, "b": [{"c": "d"}]}
    assert bad == []


def test_bad_rows(tmp_path):
    content = b"".join(
        [
            b'\xef\xbb\xbf{"t": "good", "y": "b", "n": 1}\r\n',
            b'{"t": "cut\n',
            b'["t"]\n',
            b'{"y": "a"}\n',
            b'{"t": null, "y": "a"}\n',
            b'{"t": 5, "y": "a"}\n',
            b'{"t": "\\ud800", "y": "a"}\n',
            b'{"t": "\xe9", "y": "a"}\n',
            b"\n",
            b'{"t": "no label"}\n',
            b'{"t": "late", "y": "a", "n": "one"}\n',
            b'{"t": "list", "y": [1]}\n',
            b'{"t": "pair \\ud83d\\ude00", "y": "a"}\n',
            b"[" * 100_000 + b"\n",
            b"\n",
        ]
    )
    rows, bad = custom_rows(write(tmp_path / "r.jsonl", content), "t", label="y")
    assert [(row["source_idx"], row["t"], row["y"]) for row in rows] == [
        (0, "good", 1), (10, "late", 0), (12, "pair \U0001f600", 0),
    ]  # fmt: skip
    assert [row["n"] for row in rows] == ["1", '"one"', None]
    assert [(row.line, row.column) for row in bad] == [
        (2, None), (3, None), (4, "t"), (5, "t"), (6, "t"), (7, None), (8, None), (9, None),
        (10, "y"), (12, "y"), (14, None),
    ]  # fmt: skip
    errors = [row.error for row in bad]
    assert "broken JSON" in errors[0]
    assert errors[1] == "expected a JSON object, found list"
    assert errors[2] == "expected text, found no such field, but y"
    assert errors[3] == "expected text, found null"
    assert errors[4] == "expected text, found int '5'"
    assert "surrogate" in errors[5]
    assert "0xe9" in errors[6]
    assert errors[8] == "expected a label, found none"
    assert errors[9].startswith("expected one label a row: several of them")
    assert errors[9].endswith("found '[1]'")
    assert bad[1].text == '["t"]'


@pytest.mark.parametrize(
    ("values", "kind", "kept"),
    [
        ([None, None, "late"], pa.string(), [None, None, "late"]),
        ([1, 2.5, None], pa.float64(), [1.0, 2.5, None]),
        ([{"a": 1}, {"a": 2, "b": "x"}], pa.struct([("a", pa.int64()), ("b", pa.string())]),
         [{"a": 1, "b": None}, {"a": 2, "b": "x"}]),
        ([[], [1], [2.5]], pa.list_(pa.float64()), [[], [1.0], [2.5]]),
        ([2**60, 1], pa.int64(), [2**60, 1]),
        ([1, "x", None], pa.string(), ["1", '"x"', None]),
        ([1, True], pa.string(), ["1", "true"]),
        ([2**63, 1], pa.string(), ["9223372036854775808", "1"]),
        ([2**60, 0.5], pa.string(), ["1152921504606846976", "0.5"]),
        ([{"a": {"b": 1}}, {"a": {"b": "é"}}], pa.string(), ['{"a": {"b": 1}}', '{"a": {"b": "é"}}']),
        ([[1, "x"]], pa.string(), ['[1, "x"]']),
        ([{}, {}], pa.string(), ["{}", "{}"]),
    ],
)  # fmt: skip
def test_a_column_beside_text_and_label_never_costs_a_row(tmp_path, values, kind, kept):
    rows = [{"t": str(number), "c": value} for number, value in enumerate(values)] + [{"t": "without"}]
    split = open_task("custom", write(tmp_path / "r.jsonl", lines(*rows)), CustomOptions(("t",))).split("train")
    assert split.schema.field("c").type == kind
    assert [row["c"] for row in rows_of(split)] == [*kept, None]
    mixed = kind == pa.string() and not all(isinstance(value, str | None) for value in values)
    assert split.notes == (("kept as JSON text, for their values are of several types: columns c",) if mixed else ())


def test_files_of_json_lines_share_types_and_may_lack_columns(tmp_path):
    write(tmp_path / "train-0.jsonl", lines({"t": "a", "y": "p", "n": 1, "m": "x"}))
    write(tmp_path / "train-1.jsonl", lines({"y": "q", "t": "b", "n": 0.5, "m": 2, "late": [1]}))
    rows, bad = custom_rows(tmp_path, "t", label="y")
    assert bad == []
    assert rows == [
        {"source_idx": 0, "t": "a", "y": 0, "n": 1.0, "m": '"x"', "late": None},
        {"source_idx": 1, "t": "b", "y": 1, "n": 0.5, "m": "2", "late": [1]},
    ]


@pytest.mark.parametrize("content", ["", "\n", '[{"t": 1},\n{"t": 2}]\n'])
def test_files_without_objects_are_refused(tmp_path, content):
    with pytest.raises(UserError, match="expected one JSON object a line"):
        custom_rows(write(tmp_path / "r.json", content), "t")


def test_a_limit_within_the_first_of_several_files(tmp_path):
    """Nested values are read row by row, in chunks that are taken whole."""
    for part in range(3):
        write(tmp_path / f"train-{part}.jsonl", lines(*({"t": f"{part} {n}", "c": {"d": [n]}} for n in range(5000))))
    split = open_task("custom", tmp_path, CustomOptions(("t",))).split("train")
    assert sum(batch.num_rows for batch in split.batches(limit=700, rows=512)) == 700
