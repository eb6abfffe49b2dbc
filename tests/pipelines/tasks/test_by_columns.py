"""Text files read by columns give what they give row by row: rows, bad rows with their lines, notes and messages."""

from __future__ import annotations

import gzip
import json
import random
from typing import TYPE_CHECKING

import pytest

from pipelines.errors import UserError
from pipelines.tasks import CustomOptions, open_task
from pipelines.tasks.readers import feed
from tests.pipelines.tasks.reading import write

if TYPE_CHECKING:
    from pathlib import Path

LOT = 16
TEXTS = [
    "a film",
    "naïve 日本 😀",
    "",
    "  ",
    "NA",
    "null",
    "2020-01-02",
    "x" * 300,
    'said "no"',
    "two\nlines",
    "end\r\n",
]
WILD = ["\r", "\0", "\ufeff", "\n\n", "\u2028", "\x85", "\\", '"', "\t", ","]
BROKEN_CSV = [
    b"\n",
    b"\r\n",
    b"one\n",
    b"a,b,c,d\n",
    b"\xff,pos\n",
    b'"open,pos\n',
    b'a "mid" b,pos\n',
    b'"a"b,pos\n',
    b" \n",
]
BROKEN_JSON = [
    b"\n", b"{\n", b"[1]\n", b'{"text":null}\n', b'{"text":5}\n', b'{"label":"pos"}\n', b'{"text":"\\ud800"}\n',
    b'{"text":"a","text":"b"}\n', b'{"text":"a"}{"text":"b"}\n', b'{"text":"a",\n"label":"pos"}\n', b' {"text":"a"}\n',
    b'{"text":"a","n":-0}\n', b'{"text":"a","n":NaN}\n', b'{"text":"a","n":9007199254740993}\n', b'{"text":"\xff"}\n',
    b'{"text":"a","n":' + b"1" * 5000 + b"}\n", b'{"text":"a","label":2.5}\n', b'{"text":"a","more":[{"b":1}]}\n',
]  # fmt: skip


def csv_bytes(chance: random.Random, texts: list[str], labels: list[str], delimiter: str, end: str) -> bytes:
    def field(text: str) -> str:
        wrapped = any(mark in text for mark in (delimiter, '"', "\n", "\r"))
        return f'"{text.replace(chr(34), chr(34) * 2)}"' if wrapped else text

    rows = [field(text) + delimiter + chance.choice(labels) + end for text in texts]
    return b"".join(row.encode() for row in [f"text{delimiter}label{end}", *rows])


def json_bytes(chance: random.Random, texts: list[str], labels: list[object], end: str) -> bytes:
    rows = [{"text": text, "label": chance.choice(labels)} for text in texts]
    for row in rows:
        row |= {"n": chance.choice([1, 2.5])} if chance.random() < 0.5 else {}
    return b"".join((json.dumps(row, ensure_ascii=chance.random() < 0.5) + end).encode() for row in rows)


def hostile(folder: Path, seed: int) -> Path:
    """A file of some kind with unusual texts, and in some files broken rows."""
    chance = random.Random(seed)
    texts = [chance.choice(TEXTS) for _ in range(chance.choice([1, LOT, 5 * LOT]))]
    if chance.random() < 0.5:
        texts = [text + chance.choice(WILD) if chance.random() < 0.05 else text for text in texts]
    end, suffix = chance.choice(["\n", "\r\n"]), chance.choice([".csv", ".tsv", ".jsonl"])
    if suffix == ".jsonl":
        content = json_bytes(chance, texts, chance.choice([["pos", "neg"], [0, 1], [True, False], [1, "a"]]), end)
    else:
        labels = chance.choice([["pos", "neg"], ["0", "1"], ["1.0", "2"], ["true", "False", " a "]])
        content = csv_bytes(chance, texts, labels, "," if suffix == ".csv" else "\t", end)
    lines = content.splitlines(keepends=True)
    for _ in range(chance.choice([0, 0, 1, 3])):
        lines.insert(chance.randint(1, len(lines)), chance.choice(BROKEN_JSON if suffix == ".jsonl" else BROKEN_CSV))
    content = b"\xef\xbb\xbf" * (chance.random() < 0.2) + b"".join(lines)
    content = content.rstrip(b"\r\n") + chance.choice([b"", b"\n", b"\n\n", b"\r"])
    if chance.random() < 0.1:
        packed = gzip.compress(content)
        return write(folder / f"{seed}{suffix}.gz", packed[: int(len(packed) * chance.choice([0.7, 1]))])
    return write(folder / f"{seed}{suffix}", content)


def told(path: Path, **kind: str) -> list[object]:
    """All that reading a file gives: batches, bad rows, notes, or what it is refused with."""
    bad: list[object] = []
    found: list[object] = [bad]
    try:
        task = open_task("custom", path, CustomOptions(("text",), "label", **kind), on_bad=bad.append)
        found += [task.task.label, task.notes()]
        for batch in task.split("train").batches(rows=LOT):
            found.append((batch.schema, batch.to_pylist()))
    except UserError as error:
        found.append(str(error))
    return found


@pytest.fixture
def lots_by_columns(monkeypatch):
    """Counts lots that are read by columns; they can be switched off."""
    read, seen = feed._by_columns, {"on": True, "lots": 0}

    def by_columns(*arguments):
        lot = read(*arguments) if seen["on"] else None
        seen["lots"] += lot is not None
        return lot

    monkeypatch.setattr(feed, "_by_columns", by_columns)
    return seen


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_hostile_files(lots_by_columns, tmp_path, first):
    for seed in range(first, first + 50):
        path = hostile(tmp_path, seed)
        for kind in ({}, {"label_type": "score"}):
            lots_by_columns["on"] = True
            found = told(path, **kind)
            lots_by_columns["on"] = False
            assert repr(found) == repr(told(path, **kind)), path
    assert lots_by_columns["lots"] > 30


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_a_fault_leaves_the_rest_to_be_read_by_columns(lots_by_columns, tmp_path, suffix):
    row, head, broken = {
        ".csv": (b'"a, ""b""\n\nc",x\n', b"text,label\n", b"lonely\n"),
        ".tsv": (b"a b\tx\n", b"text\tlabel\n", b"lonely\n"),
        ".jsonl": (b'{"text":"a","label":"x"}\n', b"", b"{\n"),
    }[suffix]
    path = write(tmp_path / f"train{suffix}", head + row * 5 * LOT + broken + row * 5 * LOT)
    bad: list[object] = []
    split = open_task("custom", path, CustomOptions(("text",)), on_bad=bad.append).split("train")
    assert sum(batch.num_rows for batch in split.batches(rows=LOT)) == 10 * LOT
    assert [(one.source_idx, one.line) for one in bad] == [
        (5 * LOT, head.count(b"\n") + 5 * LOT * row.count(b"\n") + 1)
    ]
    assert lots_by_columns["lots"] >= 10


@pytest.mark.parametrize("quoted", [True, False])
def test_a_sample_has_whole_rows_of_all_the_file(tmp_path, quoted):
    rows = 40 * feed.SAMPLED_ROWS
    text = '"row {0}\n""{0}"", end"' if quoted else "row {0}"
    content = "text,label\n" + "".join(f"{text.format(number)},{number % 3}\n" for number in range(rows))
    path = write(tmp_path / "train.csv", content)
    split = open_task("custom", path, CustomOptions(("text",), "label", every=8)).split("train")
    read = [row for batch in split.batches() for row in batch.to_pylist()]
    numbers = [int(row["text"].split()[1]) for row in read]
    assert [row["text"] for row in read] == [text.format(number).strip('"').replace('""', '"') for number in numbers]
    assert [row["label"] for row in read] == [number % 3 for number in numbers]
    assert rows / 10 < len(read) < rows / 6
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    assert numbers[-1] > 0.8 * rows
    assert split.rows_about == pytest.approx(rows, rel=0.05)
