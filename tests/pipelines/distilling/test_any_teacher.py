"""`distill`, `run`, `cache-teacher` and `evaluate` with teachers whose logits alone are known."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import torch

from tests.fixtures import save_tiny_masked_lm
from tests.foreign import save_foreign
from tests.pipelines.jobs import done, refused
from tests.pipelines.methods.test_bert_pkd import OF_DISTILL, without
from tests.pipelines.training.verbs import distill, evaluate, metrics, run, run_json

METHOD = ("--method", "distilbert")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return save_foreign(tmp_path_factory.mktemp("foreign") / "teacher", "xlnet")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return save_tiny_masked_lm(tmp_path_factory.mktemp("foreign") / "start", **still)


def taught(parts, teacher, start, out, *more) -> list[str]:
    command = without(distill(parts, out, "--teacher", teacher), "--student", *OF_DISTILL)
    return [*command, *METHOD, "--student-init", str(start), *map(str, more)]


def test_a_student_of_another_vocabulary(parts, teacher, start, tmp_path):
    command = taught(parts, teacher, start, tmp_path / "s", "--max-steps", 4)
    assert "nothing was written" in done(*command, "--dry-run").out
    done(*command)
    found = metrics(tmp_path / "s")
    said = done(*evaluate(parts, tmp_path / "s", "--json", tmp_path / "s.json")).out
    assert f"{found['dev']['validation']['accuracy']:.4f}" in said
    scores = done(*evaluate(parts, teacher)).out.split("precision")[0]  # what stands above the table of classes
    assert scores.count(f"{found['teacher_dev']['validation']['accuracy']:.4f}") == 1
    assert "everything was done already" in done(*command).out


def test_its_first_loss_is_by_the_teacher_s_own_tokens(parts, teacher, start, tmp_path):
    """The loss of one step over all rows, T² times the soft cross-entropy at T = 2."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    out = tmp_path / "s"
    done(*taught(parts, teacher, start, out, "--max-steps", 1, "--batch-size-prediction", 60, "--lr-prediction", 1e-12))
    loss = float(next(csv.DictReader((out / "prediction/losses.csv").open()))["prediction"])
    lines = (parts.data / "train.tsv").read_text().splitlines()[1:]
    logits = []
    for folder in (teacher, out):
        model, tokenizer = (
            kind.from_pretrained(folder) for kind in (AutoModelForSequenceClassification, AutoTokenizer)
        )
        with torch.no_grad():
            rows = [
                model.eval()(
                    **tokenizer(line.split("\t")[0], truncation=True, max_length=32, return_tensors="pt")
                ).logits[0]
                for line in lines
            ]
        logits.append(torch.stack(rows) / 2)
    expected = -4 * (logits[0].softmax(-1) * logits[1].log_softmax(-1)).sum(-1).mean()
    assert loss == pytest.approx(float(expected), rel=1e-3)


def test_a_cache_made_ahead_serves(parts, teacher, start, tmp_path):
    ahead = without(taught(parts, teacher, start, tmp_path / "cache"), "--student")
    ahead = ["cache-teacher", *ahead[1:]]
    done(*ahead)
    done(*taught(parts, teacher, start, tmp_path / "s", "--max-steps", 2, "--cache-dir", tmp_path / "cache"))
    assert run_json(tmp_path / "s")["resolved"]["cache"]["words"].endswith("made ahead")


def test_a_whole_run(parts, teacher, start, tmp_path):
    command = without(
        run(parts, tmp_path / "run", "--teacher", teacher), "--student", "--n", "--glove", "--engine", "--workers",
        *OF_DISTILL,
    )  # fmt: skip
    done(*command, *METHOD, "--student-init", str(start), "--max-steps", "2")
    assert metrics(tmp_path / "run")["latency"]["milliseconds"].keys() == {"teacher", "student"}


def test_what_is_refused(parts, teacher, start, tmp_path):
    out = tmp_path / "s"
    said = "found xlnet; use a model of one of these families"
    assert said in refused(distill(parts, out, "--teacher", teacher))
    assert said in refused(
        ["finetune", "--task", "sst2", "--data", str(parts.data), "--model", str(teacher), "--out", "o"]
    )
    whole = taught(parts, teacher, start, out)
    assert "expected a student with a shape of its own" in refused(without(whole, "--student-init"))
    command = [*without(whole, "--student-init"), "--student-init", "random", "--student", str(parts.student)]
    assert "expected a tokenizer of its own beside a teacher of the type xlnet" in refused(command)
    other = distill(parts, out, "--student", start, "--student-init", start, "--teacher", parts.teacher)
    done(*other, "--dry-run")  # the same vocabulary
    assert not out.exists()


def test_an_equal_vocabulary_behind_another_normalizer_is_another_tokenizer(parts, tmp_path):
    """A start that keeps upper case reads by its own rule, though its tokens are numbered as its teacher's."""
    cased = shutil.copytree(parts.encoder, tmp_path / "cased")
    tokenizer = json.loads((cased / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (cased / "tokenizer.json").write_text(json.dumps(tokenizer))
    told = json.loads((cased / "tokenizer_config.json").read_text())
    (cased / "tokenizer_config.json").write_text(json.dumps({**told, "do_lower_case": False}))
    for start in (cased, parts.encoder):
        done(*taught(parts, parts.teacher, start, tmp_path / f"from-{start.name}", "--max-steps", 1))
    assert "tokenizer" in run_json(tmp_path / "from-cased")["settings"]["student"]
    assert "tokenizer" not in run_json(tmp_path / f"from-{parts.encoder.name}")["settings"]["student"]


def test_a_broken_teacher_names_what_is_wrong(parts, start, tmp_path):
    folder = save_foreign(tmp_path / "teacher", "albert")
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] *= np.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "finite" in refused(taught(parts, folder, start, tmp_path / "s"))
    weights.pop("classifier.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "classifier.weight is missing" in refused(taught(parts, folder, start, tmp_path / "s"))
