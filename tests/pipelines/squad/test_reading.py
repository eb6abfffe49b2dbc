"""SQuAD's files: three forms, the same rows; and what is said of rows and files that are wrong."""

from __future__ import annotations

import json

import pytest

from pipelines.errors import UserError
from pipelines.tasks import open_task
from tests.pipelines.squad.data import official, questions, write_official, write_parquet

NAMES = ("id", "context", "question", "answers")


def rows_of(task, data):
    found = [row for batch in open_task(task, data).split("train").batches() for row in batch.to_pylist()]
    return [{name: row[name] for name in NAMES} for row in found]


def test_official_and_hub_forms_are_the_same_rows(tmp_path):
    expected = questions()
    assert rows_of("squad_v2", write_official(tmp_path / "official")) == expected
    assert rows_of("SQuAD-v2", write_parquet(tmp_path / "parquet", expected)) == expected
    lines = tmp_path / "train.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in expected), encoding="utf-8")
    assert rows_of("squad_v2", lines) == expected


def test_plausible_answers_are_none(tmp_path):
    content = official(questions()[:2])
    asked = content["data"][0]["paragraphs"][1]["qas"][0]
    asked["answers"] = asked["plausible_answers"] = [{"text": "cat", "answer_start": 13}]
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert rows_of("squad_v2", path)[1]["answers"] == {"text": [], "answer_start": []}


WRONG = {
    "offset": (
        {"answers": {"text": ["cat"], "answer_start": [12]}},
        "'cat' at character 12 of its context, found ' ca'",
    ),
    "negative": (
        {"answers": {"text": ["cat"], "answer_start": [-1]}},
        "'cat' at character -1 of its context, found ''",
    ),
    "no answer": ({"answers": {"text": [], "answer_start": []}}, "expected an answer, found none; --task squad_v2"),
    "counts": ({"answers": {"text": ["cat"], "answer_start": []}}, "as many of each"),
    "question": ({"question": "  "}, "q0: expected words, found '  '"),
    "context": ({"context": "... !"}, "q0: expected words, found '... !'"),
    "twice": ({"id": "q1"}, "q1: expected an id of its own"),
    "no id": ({"id": ""}, "expected the id of a question, found ''"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_bad_rows_name_question_and_place(tmp_path, wrong):
    change, said = WRONG[wrong]
    rows = questions(impossible=False)
    rows = [*rows[1:], {**rows[0], **change}]
    places = [write_parquet(tmp_path / "parquet", rows)]
    if wrong != "counts":  # the official form has pairs
        places.append(tmp_path / "train-v2.0.json")
        places[-1].write_text(json.dumps(official(rows)), encoding="utf-8")
    for data in places:
        with pytest.raises(UserError) as error:
            rows_of("squad", data)
        assert said in str(error.value)
        assert ", row 11, column" in str(error.value)


def test_bad_rows_can_be_skipped(tmp_path):
    rows = questions(impossible=False)
    rows[3]["question"] = ""
    met = []
    task = open_task("squad", write_parquet(tmp_path, rows), on_bad=met.append)
    found = [row["id"] for batch in task.split("train").batches() for row in batch.to_pylist()]
    assert found == [row["id"] for row in rows if row["id"] != "q3"]
    assert [(bad.source_idx, bad.column) for bad in met] == [(3, "question")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"data": [', "line 1, column 11: expected SQuAD's JSON"),
        ("[]", "expected an object, found '[]'"),
        ('{"version": "1"}', "data: expected a list, found nothing of that name"),
        ('{"data": [{"paragraphs": [{"context": "a"}]}]}', "data[0].paragraphs[0].qas: expected a list"),
        ('{"data": [{"paragraphs": [{"context": "a", "qas": [1]}]}]}', "data[0].paragraphs[0].qas[0]: expected an obj"),
        ('{"data": []}', "expected rows, found none"),
    ],
)
def test_files_of_another_form_name_the_place(tmp_path, content, said):
    path = tmp_path / "train.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as error:
        rows_of("squad", path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_missing_columns_and_data_are_named(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"id": "a", "context": "b", "question": "c"}\n', encoding="utf-8")
    with pytest.raises(UserError, match="without answers"):
        rows_of("squad", tmp_path)
    with pytest.raises(UserError, match="expected --data with the official JSON"):
        open_task("squad", None)
