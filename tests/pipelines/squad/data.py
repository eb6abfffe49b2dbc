"""A tiny SQuAD over the words of the tests' vocabulary, in both of its forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.tasks.task import ANSWERS

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = ("red", "green", "blue")
ANIMALS = ("cat", "dog", "bird", "fish")


def questions(impossible: bool = True) -> list[dict[str, Any]]:
    """Rows as the hub has them: which animal is of a colour; with `impossible` also of a colour that none has."""
    rows = []
    for number, animal in enumerate(ANIMALS * 3):
        colour, other = COLOURS[number % 3], ANIMALS[(number + 1) % 4]
        context = f"in paris the {animal} is {colour}, and in london the {other} is old. it is a good film."
        start = context.index(animal)
        answers = {"text": [animal], "answer_start": [start]}
        rows.append({"id": f"q{number}", "context": context, "question": f"who is {colour} ?", "answers": answers})
        if impossible and number % 3 == 0:
            none: dict[str, list[Any]] = {"text": [], "answer_start": []}
            rows.append({"id": f"n{number}", "context": context, "question": "who is sad ?", "answers": none})
    return rows


def official(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The same in the official form, one paragraph a question."""

    def asked(row: dict[str, Any]) -> dict[str, Any]:
        found = [
            {"text": text, "answer_start": start}
            for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        ]
        return {"id": row["id"], "question": row["question"], "answers": found, "is_impossible": not found}

    paragraphs = [{"context": row["context"], "qas": [asked(row)]} for row in rows]
    return {"version": "v2.0", "data": [{"title": "animals", "paragraphs": paragraphs}]}


def write_official(folder: Path, impossible: bool = True) -> Path:
    """A folder with train and dev in the official form."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "dev"):
        content = official(questions(impossible))
        (folder / f"{part}-v2.0.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_parquet(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A folder with train and dev in the hub's form."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [(name, pa.string()) for name in ("id", "context", "question")]
    table = pa.Table.from_pylist(rows, schema=pa.schema([*texts, ("answers", ANSWERS)]))
    for part in ("train", "validation"):
        pq.write_table(table, folder / f"{part}-00000-of-00001.parquet")
    return folder
