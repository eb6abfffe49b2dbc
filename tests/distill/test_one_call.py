"""`distill_model`: one call from a teacher and texts to a student's folder."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import ClassLabel, Dataset
from transformers import AutoModelForSequenceClassification, BertModel, pipeline

from distill import DistillError, DistillSettings, StreamSettings, TrainSettings, distill_model
from tests.distill.data import drawn_table
from tests.distill.models import tiny_encoder
from tests.fixtures import tiny_config, tiny_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

LABELS = {"id2label": {0: "good", 1: "bad"}, "label2id": {"good": 0, "bad": 1}}
QUICK = DistillSettings(
    reading=StreamSettings(max_length=16, batch_rows=8, workers=0),
    intermediate=TrainSettings(epochs=2, learning_rate=1e-3, cpu=True),
    prediction=TrainSettings(epochs=2, learning_rate=1e-3, cpu=True),
)
ROWS = drawn_table(40, seed=0)


def save_teacher(folder: Path, **changes) -> Path:
    tiny_encoder(**changes).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return save_teacher(tmp_path_factory.mktemp("teacher"), **LABELS)


def weights(folder):
    return AutoModelForSequenceClassification.from_pretrained(folder).state_dict()


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def names(table):
    return [["good", "bad"][label] for label in table["label"].to_pylist()]


def test_a_table_becomes_a_student(teacher, tmp_path, monkeypatch):
    dev = {"sentence": ROWS["sentence"].to_pylist()[:20], "queue": names(ROWS)[:20]}
    asked = {"text": "sentence", "label": "queue", "dev": dev, "settings": QUICK}
    found = distill_model(ROWS, teacher, tmp_path / "student", **asked)
    assert (found.folder, found.layer_map) == (tmp_path / "student", (2, 4))
    assert not found.model.training
    assert [*found.dev] == ["teacher", "student"]
    classify = pipeline("text-classification", model=str(found.folder), device="cpu")
    right = [answer["label"] == label for answer, label in zip(classify(dev["sentence"]), dev["queue"], strict=True)]
    assert found.dev["student"] == {"accuracy": pytest.approx(np.mean(right))}
    judged = pipeline("text-classification", model=str(teacher), device="cpu")(dev["sentence"])
    assert found.dev["teacher"]["accuracy"] == pytest.approx(
        np.mean([answer["label"] == label for answer, label in zip(judged, dev["queue"], strict=True)])
    )
    assert pq.read_table(found.folder / "stages/data/train.parquet").column_names == ["sentence"]
    monkeypatch.setattr("distill.step.StudentStep.in_parts", lambda *_: pytest.fail("something was trained"))
    again = distill_model(ROWS, str(teacher), str(tmp_path / "student"), **asked)
    assert again.dev == found.dev
    assert same(again.model.state_dict(), found.model.state_dict())


def test_the_same_rows_of_every_kind_make_the_same_student(teacher, tmp_path):
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    (tmp_path / "folder").mkdir()
    pq.write_table(ROWS, tmp_path / "folder/part-0.parquet")
    kinds = {
        "table": ROWS,
        "file": tmp_path / "rows.parquet",
        "folder": str(tmp_path / "folder"),
        "frame": ROWS.to_pandas().set_index(pd.Index(range(7, 47))),
        "dict": {"sentence": ROWS["sentence"].to_pylist()},
        "data set": Dataset(ROWS),
    }
    short = dataclasses.replace(QUICK, prediction=None)
    made = {
        name: weights(distill_model(rows, teacher, tmp_path / name / "out", text="sentence", settings=short).folder)
        for name, rows in kinds.items()
    }
    assert all(same(one, made["table"]) for one in made.values())


def test_pairs_and_scores(tmp_path):
    teacher = save_teacher(tmp_path / "teacher", num_labels=1, problem_type="regression")
    rows = ROWS.append_column("score", pa.array(np.linspace(0, 5, 40)))
    asked = {"text": ("sentence", "partner"), "label": "score", "dev": rows, "student": "layers:1", "settings": QUICK}
    found = distill_model(rows, teacher, tmp_path / "out", **asked)
    assert found.layer_map == (4,)
    assert {*found.dev["student"]} == {"spearman", "pearson"}
    assert found.model.config.num_labels == 1


def test_a_student_goes_on_from_its_folder(teacher, tmp_path):
    first = distill_model(ROWS, teacher, tmp_path / "first", text="sentence", settings=QUICK)
    asked = {"text": "sentence", "settings": dataclasses.replace(QUICK, intermediate=None)}
    second = distill_model(ROWS, teacher, tmp_path / "second", student=first.folder, **asked)
    assert [path.name for path in (tmp_path / "second/stages").iterdir() if path.name != "data"] == ["prediction"]
    assert not same(second.model.state_dict(), first.model.state_dict())
    assert second.model.config.num_hidden_layers == 2


@pytest.mark.parametrize(("student", "rates"), [("2x24", (1e-3, 2e-4)), ("half", (5e-5, 2e-4))])
def test_a_shape_has_a_start_and_a_rate_that_suit_it(teacher, tmp_path, monkeypatch, student, rates):
    taken = []
    monkeypatch.setattr("distill.one_call.train", lambda *given: taken.append(given[4].learning_rate))
    asked = {"text": "sentence", "student": student}
    settings = DistillSettings(reading=QUICK.reading, prediction=TrainSettings(epochs=1, learning_rate=2e-4))
    found = distill_model(ROWS, teacher, tmp_path / "out", settings=settings, **asked)
    assert tuple(taken) == rates
    config, copied = found.model.config, found.model.bert.embeddings.word_embeddings.weight
    theirs = AutoModelForSequenceClassification.from_pretrained(teacher).bert.embeddings.word_embeddings.weight
    assert (config.num_hidden_layers, config.hidden_size) == (2, 24 if student == "2x24" else theirs.shape[1])
    assert (copied.shape == theirs.shape and torch.equal(copied, theirs)) == (student == "half")


def test_class_labels_are_matched_by_name(teacher, tmp_path):
    numbers = [1 - label for label in ROWS["label"].to_pylist()]  # of the classes the other way round
    data_set = Dataset.from_dict({"sentence": ROWS["sentence"].to_pylist(), "label": numbers})
    data_set = data_set.cast_column("label", ClassLabel(names=["bad", "good"]))
    short = dataclasses.replace(QUICK, intermediate=None)
    asked = {"text": "sentence", "settings": short}
    expected = distill_model(ROWS, teacher, tmp_path / "numbers", dev=ROWS, **asked)
    assert distill_model(data_set, teacher, tmp_path / "named", dev=data_set, **asked).dev == expected.dev
    unnamed = save_teacher(tmp_path / "unnamed", num_labels=2)
    found = distill_model(data_set, unnamed, tmp_path / "unnamed-student", dev=data_set, **asked)
    flipped = ROWS.set_column(2, "label", pa.array(numbers))
    assert found.dev == distill_model(ROWS, unnamed, tmp_path / "flipped", dev=flipped, **asked).dev


BAD = {
    "no column": ({"text": "body"}, "^data: expected a column body; found sentence, partner, label, unused"),
    "no value": ({"data": {"text": ["a", None]}, "text": "text"}, "^data: expected a value in column text; .* row 1"),
    "no rows": ({"data": {"sentence": []}}, "^data: expected rows; found none"),
    "no data": ({"data": 3}, r"^data: expected Parquet, .*; found int \("),
    "no file": ({"data": "nowhere"}, "nowhere"),
    "no label": ({"dev": {"sentence": ["a", "b"], "label": ["good", "fine"]}}, r"\(good, bad\) in .* 'fine' in row 1"),
    "no class": ({"dev": {"sentence": ["a"], "label": [2]}}, "expected an integer from 0 to 1 in column label"),
    "no teacher": ({"teacher": "nowhere"}, "^expected a teacher with its tokenizer at 'nowhere'"),
    "no shape": ({"student": "huge"}, "^expected a student tinybert4, "),
    "no stage": ({"settings": DistillSettings(intermediate=None, prediction=None)}, "^expected at least one of the"),
    "too long": ({"settings": DistillSettings()}, "^expected max_length of at most 64"),
    "no head": ({"teacher": "encoder"}, "^expected a fine-tuned classifier in .*classifier"),
    "a model there": ({"out": "teacher"}, "^expected no model in .*; found another"),
}


@pytest.mark.parametrize("which", BAD)
def test_what_cannot_be_distilled_is_refused(teacher, tmp_path, which):
    changes, message = BAD[which]
    usual = {"data": ROWS, "teacher": teacher, "out": tmp_path / "out", "text": "sentence", "settings": QUICK}
    asked = {**usual, **changes}
    if changes.get("teacher") == "encoder":
        asked["teacher"] = tmp_path / "encoder"
        BertModel(tiny_config()).save_pretrained(asked["teacher"])
        tiny_tokenizer().save_pretrained(asked["teacher"])
    if changes.get("out") == "teacher":
        asked["out"] = teacher
    with pytest.raises(DistillError, match=message):
        distill_model(**asked)
    if which != "no class":  # told where the rows are read
        assert not (tmp_path / "out").exists()
