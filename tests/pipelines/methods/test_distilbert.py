"""DistilBERT as a method of `distill`, `run` and `cache-teacher`, and of `distill-general`."""

from __future__ import annotations

import csv
import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM

from pipelines.general.request import default_accumulation
from tests.pipelines.jobs import done, everything, kill, refused, start, wait_for
from tests.pipelines.methods.test_bert_pkd import OF_DISTILL, without
from tests.pipelines.training.verbs import ahead, distill, general, metrics, run, run_json

METHOD = ("--method", "distilbert")
LAYER = "bert.encoder.layer.{}.output.dense.weight"


def task(parts, out, *more) -> list[str]:
    """`distill` by the method's own defaults."""
    return [*without(distill(parts, out), "--student", *OF_DISTILL), *METHOD, *map(str, more)]


def pre_training(parts, corpus, out, *more) -> list[str]:
    """`distill-general` by the method's own defaults."""
    return [*without(general(parts, corpus, out), "--student", "--lr"), *METHOD, *map(str, more)]


@pytest.fixture(scope="module")
def student(parts, tmp_path_factory):
    """A finished student; look, don't touch."""
    out = tmp_path_factory.mktemp("distilbert") / "student"
    assert "nothing was written" in done(*task(parts, out, "--dry-run")).out
    assert not out.exists()
    done(*task(parts, out))
    return out


def test_what_it_leaves(parts, student):
    told, found = run_json(student), metrics(student)
    assert told["settings"]["method"] == "distilbert"
    assert told["settings"]["prediction"] == {"epochs": 3, "batch_rows": 32, "learning_rate": 5e-5, "max_steps": None}
    assert told["settings"]["losses"] == {"temperature": 2.0}
    assert told["resolved"]["cache"]["content"] == "logits"
    assert {name: stage["rows"] for name, stage in found["stages"].items()} == {"prediction": 60}
    assert next(csv.reader((student / "prediction/losses.csv").open()))[-2:] == ["loss", "prediction"]
    card = (student / "README.md").read_text()
    assert "- distilbert\n" in card
    assert "- method: DistilBERT (soft cross-entropy, temperature 2)\n" in card
    assert "2 layers, width 32, 4 heads, started from teacher-layers 2, 4\n" in card
    assert done("status", student).out.splitlines() == ["prediction   done, 6 steps", "complete"]
    before = everything(student)
    assert "everything was done already" in done(*task(parts, student)).out
    assert everything(student) == before


def test_it_starts_from_the_layers_of_the_map(parts, tmp_path):
    done(*task(parts, tmp_path / "s", "--lr-prediction", 1e-12, "--max-steps", 1, "--layer-map", "1,3"))
    mine, theirs = load_file(tmp_path / "s/model.safetensors"), load_file(parts.teacher / "model.safetensors")
    for here, there in ((0, 0), (1, 2)):
        torch.testing.assert_close(mine[LAYER.format(here)], theirs[LAYER.format(there)], atol=1e-6, rtol=0)


def test_the_loss_is_scaled_by_the_square_of_the_temperature(parts, tmp_path):
    first = {}
    for temperature in (1, 1e6):  # at a high one both distributions are even, and the loss is T² ln 2
        out = tmp_path / str(temperature)
        done(*task(parts, out, "--temperature", temperature, "--max-steps", 1))
        first[temperature] = float(next(csv.DictReader((out / "prediction/losses.csv").open()))["prediction"])
    assert first[1e6] / 1e12 == pytest.approx(0.693147, rel=1e-4)
    assert 0 < first[1] < 2


def test_it_learns_from_shards_and_a_cache_made_ahead(parts, student, tmp_path):
    done(*task(parts, tmp_path / "s", "--train", parts.train, "--max-steps", 2))
    assert metrics(tmp_path / "s")["stages"]["prediction"]["rows"] > 60
    command = without(ahead(parts, tmp_path / "cache", *METHOD, train=False), "--student", "--student-init")
    done(*command)
    done(*task(parts, tmp_path / "t", "--cache-dir", tmp_path / "cache"))
    assert run_json(tmp_path / "t")["resolved"]["cache"]["words"].endswith("made ahead")
    assert (tmp_path / "t/model.safetensors").read_bytes() == (student / "model.safetensors").read_bytes()


def test_a_run_augments_nothing(parts, tmp_path):
    command = without(run(parts, tmp_path / "run"), "--student", "--n", "--glove", "--engine", "--workers", *OF_DISTILL)
    command += METHOD
    done(*command)
    assert list(metrics(tmp_path / "run")["stages"]) == ["finetune", "prediction"]
    assert not (tmp_path / "run/augmented").exists()
    assert "expected a method that learns from augmented rows" in refused([*command, "--n", "3"])


def test_what_is_refused(parts, corpus, tmp_path):
    out = tmp_path / "s"
    for typed, said in (
        (("--losses", "hidden"), "--losses: expected a method with an intermediate stage"),
        (("--temperature", "1e300"), "--temperature: expected a number between 0 and 10000000, found 1e+300"),
        (("--alpha", 0.5), "--alpha: expected --method bert-pkd beside it"),
        (("--student-init", "random", "--layer-map", "top"), "expected a method with an intermediate stage, or"),
    ):
        assert said in refused(task(parts, out, *typed))
    for typed, said in (
        (("--losses", "hidden"), "--losses: expected --method tinybert beside it"),
        (("--layer-weights", "1,1,1,1"), "--layer-weights: expected --method tinybert beside it"),
        (("--student-init", "random", "--layer-map", "top"), "expected --method tinybert, or --student-init"),
        (("--mlm-soft", 0, "--temperature", 3), "--temperature: expected --mlm-soft beside it"),
        (
            ("--mlm-soft", 0, "--mlm-weight", 0, "--cosine-weight", 0),
            "expected weights of 0 or more, one of them above",
        ),
        (("--student", parts.student, "--student-init", "random"), "expected a student of the teacher's width (32)"),
    ):
        assert said in refused(pre_training(parts, corpus, out, *typed))
    assert "--cosine-weight: expected --method distilbert" in refused(general(parts, corpus, out, "--cosine-weight", 2))
    assert not out.exists()


@pytest.mark.integration
def test_killed_and_resumed_gives_the_same_student(parts, tmp_path):
    more = ("--epochs-prediction", 12, "--checkpoint-every", 3)
    done(*task(parts, tmp_path / "whole", *more))
    process = start(*task(parts, tmp_path / "killed", *more))
    wait_for(lambda: list((tmp_path / "killed/prediction").glob("step-*")), process)
    kill(process)
    assert not (tmp_path / "killed/metrics.json").exists()
    done(*task(parts, tmp_path / "killed", *more))
    for name in ("model.safetensors", "prediction/losses.csv", "prediction/dev.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.integration
def test_pre_training(parts, corpus, tmp_path):
    """Dry run, a kill and its resume, status, card and metrics; then a task goes on with the student."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    more = ("--epochs", 2, "--checkpoint-every", 5)
    said = done(*pre_training(parts, corpus, whole, *more, "--dry-run"))
    assert "teacher cache: off (each epoch masks other tokens" in said.out
    assert not whole.exists()
    done(*pre_training(parts, corpus, whole, *more))
    process = start(*pre_training(parts, corpus, killed, *more))
    wait_for(lambda: list(killed.glob("general/step-*")), process)
    kill(process)
    assert not (killed / "metrics.json").exists()
    done(*pre_training(parts, corpus, killed, *more))
    for name in ("model.safetensors", "general/losses.csv", "README.md"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    told, found = run_json(whole)["settings"], metrics(whole)
    assert (told["method"], told["losses"], told["cosine"]) == ("distilbert", {"temperature": 2.0}, 1.0)
    assert told["masked_lm"] == {"weight": 2.0, "soft": 5.0, "whole_word": False}
    assert told["recipe"] == {"epochs": 2, "batch_rows": 16, "learning_rate": 5e-4, "max_steps": None}
    assert (found["layer_map"], set(found["losses"])) == ([4], {"loss", "prediction", "mlm", "cosine"})
    rows = [float(row["loss"]) for row in csv.DictReader((whole / "general/losses.csv").open())]
    assert sum(rows[-5:]) < sum(rows[:5])
    assert done("status", whole).out.endswith("complete\n")
    card = (whole / "README.md").read_text()
    assert "- losses: teacher's predictions (weight 5, temperature 2), masked LM (2), cosine of the last hidden" in card
    assert AutoModelForMaskedLM.from_pretrained(whole).num_parameters() == found["parameters"]
    done(*task(parts, tmp_path / "student", "--student-init", whole, "--max-steps", 1))
    assert json.loads((tmp_path / "student/config.json").read_text())["num_hidden_layers"] == 2


def test_pre_training_without_the_cosine_from_a_cache(parts, corpus, tmp_path):
    out = tmp_path / "out"
    more = ("--cosine-weight", 0, "--cache", "full", "--max-steps", 3, "--student-init", "random")
    ran = done(*pre_training(parts, corpus, out, *more, "--student", parts.student))
    assert "the same tokens are masked in every epoch" in ran.err
    assert set(metrics(out)["losses"]) == {"loss", "prediction", "mlm"}
    assert list((out / "teacher_cache/hidden").iterdir())


def test_parts_of_a_step_fit_the_logits_of_all_tokens():
    assert default_accumulation(256, "cpu", 1, 4) == 4 * default_accumulation(256, "cpu", 1)
