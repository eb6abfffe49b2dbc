from __future__ import annotations

import json

import pyarrow as pa
import pytest

from pipelines.errors import UserError
from pipelines.tasks import CustomOptions, open_task
from tests.pipelines.tasks.reading import custom_rows, write


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
    assert [(row["source_idx"], row["t"], row["y"]) for row in rows] == [(0, "good", 1), (12, "pair \U0001f600", 0)]
    assert [(row.line, row.column) for row in bad] == [
        (2, None), (3, None), (4, "t"), (5, "t"), (6, "t"), (7, None), (8, None), (9, None),
        (10, "y"), (11, "n"), (12, "y"), (14, None),
    ]  # fmt: skip
    errors = [row.error for row in bad]
    assert "broken JSON" in errors[0]
    assert errors[1] == "expected a JSON object, found list"
    assert errors[2] == "expected text, found no such field"
    assert errors[3] == "expected text, found null"
    assert errors[4] == "expected text, found int '5'"
    assert "surrogate" in errors[5]
    assert "0xe9" in errors[6]
    assert errors[8] == "expected a label, found none"
    assert errors[9] == "expected int64 as in the rows before, found str 'one'"
    assert bad[1].text == '["t"]'


def test_columns_and_values_after_the_first_block_must_fit(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.tasks.jsonl.FIRST_ROWS", 1)
    first = {"t": "a", "n": 1, "x": 1.5, "m": {"a": 1}}
    late = [{"t": "b", "new": 1}, {"t": "c", "n": 2.5}, {"t": "d", "m": {"a": 1, "b": 2}}, {"t": "e", "n": 2**63}]
    late += [{"t": "f", "n": True}, {"t": "g", "x": 2**60}]
    rows, bad = custom_rows(write(tmp_path / "r.jsonl", lines(first, *late, {"t": "h", "x": 2})), "t")
    assert [row["t"] for row in rows] == ["a", "h"]
    assert [row.column for row in bad] == ["new", "n", "m", "n", "n", "x"]


@pytest.mark.parametrize("content", ["", "\n", '[{"t": 1},\n{"t": 2}]\n'])
def test_files_without_objects_are_refused(tmp_path, content):
    with pytest.raises(UserError, match="expected one JSON object a line"):
        custom_rows(write(tmp_path / "r.json", content), "t")
