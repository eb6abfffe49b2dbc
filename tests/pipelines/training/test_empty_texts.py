"""Training rows without a word, data without a dev part, and a cache of what no stage learns."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.lengths import all_empty
from pipelines.training.parts import open_stream
from tests.fixtures import tiny_tokenizer
from tests.pipelines.jobs import custom_task, done, tinyaug
from tests.pipelines.training.verbs import distill, finetune, metrics, run

SAID = "training rows with empty texts: 8 of 8; there is nothing to learn from them"


@pytest.fixture
def options(tmp_path):
    """Of a task of eight texts of white space, without a dev part."""
    return custom_task(tmp_path / "train.csv", [(" " * (row % 3), row % 2) for row in range(8)])


def test_training_on_nothing_is_told_once(parts, options, tmp_path):
    taught = (*options, "--teacher", tmp_path / "t")
    for command in (finetune(parts, tmp_path / "t", *options), without_shards(distill(parts, tmp_path / "s", *taught))):
        dry = done(*command, "--dry-run")
        assert SAID in " ".join(dry.out.split())
        ran = done(*command, "--max-steps", 1)
        assert " ".join(ran.err.split()).count(SAID) == 1
        assert not [line for line in ran.out.splitlines() if line.strip() in ("", "teacher", "student")]


def without_shards(command):
    at = command.index("--train")
    return command[:at] + command[at + 2 :]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_one_word_is_enough(tmp_path, kind):
    found = []
    for last in (" ", "a"):
        texts = pa.array(["", " ", "\t", last]).cast(kind)
        pq.write_table(pa.table({"a": texts, "b": [""] * 4}), tmp_path / "p.parquet", row_group_size=2)
        found.append(all_empty(open_stream(str(tmp_path), columns(), tiny_tokenizer(), 32, 2)))
    assert found == [True, False]


def columns():
    from distill.reading import Columns

    return Columns(("b", "a"))


@pytest.mark.parametrize("make", [distill, run])
def test_a_full_cache_of_no_layers(parts, tmp_path, make):
    ran = tinyaug(*make(parts, tmp_path / "out", "--epochs-intermediate", 0, "--cache", "full"))
    assert ran.code == 2, ran.err
    assert "--cache full: expected --epochs-intermediate above 0 with full beside it" in ran.err
    assert not (tmp_path / "out").exists()


def test_logits_alone_without_an_intermediate_stage(parts, tmp_path):
    out = tmp_path / "out"
    done(*distill(parts, out, "--epochs-intermediate", 0, "--max-steps", 1))
    assert list(metrics(out)["stages"]) == ["prediction"]
    assert not (out / "teacher_cache/full").exists()
