"""Examples on which the model fails: they are rejected by name, the others finish."""

from __future__ import annotations

import pytest

from augment.masked_lm import MaskedLM
from tests.fixtures import VOCABULARY
from tests.pipelines.conftest import ROWS
from tests.pipelines.jobs import manifest, rejected, rows, tinyaug

POISON = "dog"


@pytest.fixture(autouse=True)
def poison(monkeypatch):
    """The model fails on every batch that holds the word, as one that runs into an illegal value."""
    start, token = MaskedLM.start, VOCABULARY.index(POISON)

    def failing(self, batch, k):
        if (batch.ids == token).any():
            raise FloatingPointError("poisoned")
        return start(self, batch, k)

    monkeypatch.setattr(MaskedLM, "start", failing)


def poisoned(inputs) -> list[int]:
    lines = (inputs.data / "train.tsv").read_text().splitlines()[1:]
    return [number for number, line in enumerate(lines) if POISON in line.split("\t")[0].split()]


def test_the_others_finish(inputs, finished, tmp_path):
    ran = tinyaug(*inputs.augment(tmp_path, "--shard-rows", 10))
    bad = poisoned(inputs)
    assert 0 < len(bad) < ROWS
    assert ran.code == 1
    assert "rows were rejected" in ran.out
    assert [(one["source_idx"], one["stage"], one["column"]) for one in rejected(tmp_path)] == [
        (number, "candidates", "sentence") for number in bad
    ]
    assert all("poisoned" in one["error"] and POISON in one["text"] for one in rejected(tmp_path))
    assert manifest(tmp_path)["rejected_rows"] == len(bad)
    kept = [row for row in rows(finished) if row["source_idx"] not in bad]
    strip = [{**row, "edits": [{**edit, "score": 0} for edit in row["edits"]]} for row in kept]
    found = [{**row, "edits": [{**edit, "score": 0} for edit in row["edits"]]} for row in rows(tmp_path)]
    assert found == strip


def test_allowed_rejects_are_no_failure_and_a_rerun_says_the_same(inputs, tmp_path):
    assert tinyaug(*inputs.augment(tmp_path, "--allow-rejects")).code == 0
    assert tinyaug(*inputs.augment(tmp_path)).code == 1  # nothing is left to do, but rows are missing
    assert len(rejected(tmp_path)) == len(poisoned(inputs))


def test_context_running_rejects_them_too(inputs, tmp_path):
    """There a model fails only on texts in which something was drawn beside the word."""
    ran = tinyaug(*inputs.augment(tmp_path, "--context", "running", "--p", 1, "--n", 1))
    assert ran.code == 1
    bad = {one["source_idx"] for one in rejected(tmp_path)}
    assert set(poisoned(inputs)) <= bad
    assert {row["source_idx"] for row in rows(tmp_path)} == set(range(ROWS)) - bad


def test_shards_of_nothing_but_poison(inputs, tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("text\n" + "".join(f"the {POISON} is {word}\n" for word in ("good", "bad", "old")))
    ran = tinyaug(*inputs.custom(data, tmp_path / "run"))
    assert ran.code == 1
    assert rows(tmp_path / "run") == []
    assert [one["source_idx"] for one in rejected(tmp_path / "run")] == [0, 1, 2]
