"""Contexts vary, answers stay, and their offsets follow."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from augment.assemble import EDIT
from pipelines.squad.following import moved_answers
from pipelines.tasks.task import ANSWERS
from tests.pipelines.jobs import augment, done
from tests.pipelines.squad.data import questions


def edits(*spans: tuple[str, int, int, str]) -> list[dict]:
    rest = {"original": "", "source": "mlm", "rank": 0, "score": 0.0}
    return [{"column": one, "start": first, "end": last, "replacement": new, **rest} for one, first, last, new in spans]


def test_offsets_follow_the_edits_before_an_answer():
    answers = [
        {"text": ["cat", "dog"], "answer_start": [10, 20]},
        {"text": [], "answer_start": []},
        {"text": ["é"], "answer_start": [4]},
    ]
    made = [
        edits(("context", 0, 3, "four5"), ("context", 14, 18, "x"), ("context", 30, 33, "y")),
        edits(("context", 0, 1, "abc")),
        edits(("context", 0, 3, "ü"), ("question", 0, 1, "longer")),
    ]
    found = moved_answers(pa.chunked_array([answers], ANSWERS), pa.array(made, pa.list_(EDIT)), "context")
    assert found.to_pylist() == [
        {"text": ["cat", "dog"], "answer_start": [12, 19]},
        {"text": [], "answer_start": []},
        {"text": ["é"], "answer_start": [2]},
    ]


@pytest.mark.parametrize("pairs", ["first", "joint", "second"])
@pytest.mark.parametrize("preset", ["paper", "algorithm1"])
def test_answers_stay_whole(squad, inputs, tmp_path, preset, pairs):
    more = ("--preset", preset, "--p", 0.9, *(("--pairs", pairs) if pairs != "first" else ()))
    done(*augment(inputs, squad.data, tmp_path, "--task", "squad_v2", *more))
    rows = pq.read_table(tmp_path / "augmented" / "data").to_pylist()
    originals = {row["source_idx"]: row for row in rows if row["variant"] == 0}
    kept = ("id", "context", "question", "answers")
    assert [{name: row[name] for name in kept} for row in originals.values()] == questions()
    moved = 0
    for row in rows:
        original, answers = originals[row["source_idx"]], row["answers"]
        assert answers["text"] == original["answers"]["text"]
        for text, start in zip(answers["text"], answers["answer_start"], strict=True):
            assert row["context"][start : start + len(text)] == text
        moved += answers["answer_start"] != original["answers"]["answer_start"]
    assert (moved > 0) == (pairs != "second")
    varied = {edit["column"] for row in rows for edit in row["edits"]}
    assert varied == {"first": {"context"}, "joint": {"context", "question"}, "second": {"question"}}[pairs]


def test_words_outside_answers_are_drawn_as_without_them(squad, inputs, tmp_path):
    """A question's answer keeps its own words; another question on the same context has them replaced."""
    done(*augment(inputs, squad.data, tmp_path, "--task", "squad_v2", "--p", 1))
    table = pq.read_table(tmp_path / "augmented" / "data")
    by_id = {(row["id"], row["variant"]): row for row in table.to_pylist()}
    spans = {one: {(edit["start"], edit["end"]) for edit in by_id[one, 1]["edits"]} for one in ("q0", "n0")}
    answer = questions()[0]["answers"]["answer_start"][0]
    assert (answer, answer + 3) not in spans["q0"]
    assert np.all([first != answer for first, _ in spans["q0"]])
