"""Texts longer than --max-length: the share that is said, and a tokenizer that cuts where its model was taught to."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from distill.lengths import SAMPLED_ROWS, whole_lengths
from distill.reading import Columns
from pipelines.training.estimates import cut_texts
from pipelines.training.parts import open_stream
from tests.fixtures import tiny_tokenizer
from tests.pipelines.jobs import custom_task, done
from tests.pipelines.training.verbs import distill, finetune, metrics


def stream(tmp_path, max_length: int, row_group: int = 1000, **columns: list[str]):
    pq.write_table(pa.table(columns), tmp_path / "p0.parquet", row_group_size=row_group)
    return open_stream(str(tmp_path), Columns(tuple(columns)), tiny_tokenizer(), max_length, 8)


def test_lengths_count_special_tokens_and_both_texts(tmp_path):
    """[CLS] a film [SEP] is 4 tokens, [CLS] a film [SEP] good [SEP] 6."""
    assert whole_lengths(stream(tmp_path, 4, text=["a film", "a " * 60])).tolist() == [4, 62]
    assert whole_lengths(stream(tmp_path, 4, text=["a film"], other=["good"])).tolist() == [6]


@pytest.mark.parametrize(
    ("long", "warned", "said"),
    [
        (0, False, "texts longer than --max-length 10: 0.0% of 200 rows"),
        (2, False, "texts longer than --max-length 10: 1.0% of 200 rows; their ends are not seen, 99% have at most"),
        (
            50,
            True,
            "texts longer than --max-length 10: 25.0% of 200 rows; their ends are not seen, 99% have",
        ),
    ],
)
def test_the_share_of_texts_that_are_cut(tmp_path, long, warned, said):
    """Eight words and two special tokens just fit."""
    texts = ["a " * 9] * long + ["a " * 8] * (200 - long)
    found = cut_texts(stream(tmp_path, 10, text=texts))
    assert found.truncated == long / 200
    assert (found.notes if warned else found.facts)[0].startswith(said)
    assert not (found.facts if warned else found.notes)


def test_a_large_data_set_is_sampled_throughout(tmp_path):
    """Its last tenth is long."""
    texts = ["a"] * 36_000 + ["a " * 20] * 4_000
    found = cut_texts(stream(tmp_path, 10, text=texts))
    assert SAMPLED_ROWS <= len(whole_lengths(stream(tmp_path, 10, text=texts))) <= 2 * SAMPLED_ROWS
    assert found.truncated == pytest.approx(0.1, abs=0.04)
    assert "of a sample of 4," in found.notes[0]


@pytest.fixture
def task(tmp_path):
    """Of twenty texts one in five has more than eight tokens."""
    rows = [("a good film" + " a film" * (10 * (row % 5 == 0)), row // 2 % 2) for row in range(20)]
    (tmp_path / "data").mkdir()
    options = custom_task(tmp_path / "data/train.csv", rows)
    custom_task(tmp_path / "data/dev.csv", rows)
    return (*options[:2], "--data", tmp_path / "data", *options[4:])


CUT = "texts longer than --max-length 8: 20.0% of 20 rows; their ends are not seen, 99% have at most 25 tokens"


def test_cut_texts_are_told_of_and_a_tokenizer_cuts_by_itself(parts, task, tmp_path):
    teacher, student = tmp_path / "teacher", tmp_path / "student"
    ours = finetune(parts, teacher, *task, "--max-length", 8, "--epochs", 1)
    theirs = distill(parts, student, *task, "--teacher", teacher, "--max-length", 8, "--max-steps", 1)
    place = theirs.index("--train")
    del theirs[place : place + 2]
    for command, out in ((ours, teacher), (theirs, student)):
        assert f"warning: {CUT}" in done(*command, "--dry-run").out
        assert f"warning: {CUT}" in done(*command).err
        assert metrics(out)["truncated_share"] == 0.2
        assert "- max_length: 8 (longer: 20.0% of the texts)" in (out / "README.md").read_text()
        assert json.loads((out / "tokenizer_config.json").read_text())["model_max_length"] == 8
        ids = AutoTokenizer.from_pretrained(out)("a film " * 30, truncation=True)["input_ids"]
        assert len(ids) == 8
    inside = json.loads((student / "intermediate/student/tokenizer_config.json").read_text())
    assert inside["model_max_length"] == 8
    assert not {"is_local", "local_files_only"} & inside.keys()
