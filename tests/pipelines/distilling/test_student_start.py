"""The folder that a student starts from: what is built is its own configuration, and that is what is checked."""

from __future__ import annotations

import json

import pytest
from transformers import BertConfig, BertForSequenceClassification

from tests.fixtures import VOCABULARY
from tests.pipelines.jobs import done, tinyaug
from tests.pipelines.training.verbs import distill, general, run, run_json


def start(parts, folder, **changes):
    """Weights of the student's shape with changes, and no tokenizer."""
    shape = json.loads(parts.student.read_text()) | changes
    BertForSequenceClassification(BertConfig(**shape)).save_pretrained(folder)
    return folder


@pytest.fixture
def no_weights(monkeypatch):
    """Weights of models are not to be read."""
    for home in ("student", "weights"):  # imported first, it has the real one to give back
        monkeypatch.setattr(f"distill.{home}.read_model", lambda *_: pytest.fail("weights were read"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_position_embeddings": 16}, "expected max_length of at most 16, the positions of the student"),
        ({"vocab_size": 12}, f"expected at least {len(VOCABULARY)} embeddings in the student"),
        ({"intermediate_size": 24}, "expected feed-forward size 32 as the chosen student has; found 24"),
    ],
    ids=["positions", "vocabulary", "feed-forward"],
)
def test_a_start_that_does_not_fit(parts, corpus, tmp_path, no_weights, changes, said):
    folder, out = start(parts, tmp_path / "start", **changes), tmp_path / "new/out"
    for command in (distill(parts, out), general(parts, corpus, out), run(parts, out)):
        ran = tinyaug(*command, "--student-init", folder)
        assert ran.code == 2, ran.err
        assert said in ran.err.strip().splitlines()[-1]
        assert str(folder) in ran.err
    assert not (tmp_path / "new").exists()


def test_run_json_tells_what_is_built(parts, tmp_path):
    folder = start(parts, tmp_path / "start", max_position_embeddings=48, layer_norm_eps=1e-6)
    done(*distill(parts, tmp_path / "out", "--student-init", folder, "--max-steps", 1))
    told = run_json(tmp_path / "out")["settings"]["student"]["config"]
    built = json.loads((tmp_path / "out/config.json").read_text())
    for name in ("max_position_embeddings", "layer_norm_eps", "intermediate_size", "id2label"):
        assert told[name] == built[name]
    assert (told["max_position_embeddings"], told["layer_norm_eps"]) == (48, 1e-6)
    assert "everything was done already" in done(*distill(
        parts, tmp_path / "out", "--student-init", folder, "--max-steps", 1
    )).out  # fmt: skip
