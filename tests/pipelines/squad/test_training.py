"""Teachers and students of SQuAD, end to end: what is written, loaded elsewhere, judged and resumed."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoTokenizer, BertForQuestionAnswering

from distill.squad_metric import exact_match
from tests.pipelines.jobs import done, kill, later_wins, refused, start, tinyaug, wait_for
from tests.pipelines.squad.conftest import TASK
from tests.pipelines.squad.data import official, questions, write_official
from tests.pipelines.training.verbs import metrics, results

SAME = ("model.safetensors", "intermediate/losses.csv", "prediction/losses.csv", "prediction/dev.csv", "README.md")


def test_a_teacher_is_judged_as_metrics_say(squad, tmp_path):
    predictions, told = tmp_path / "dev.json", tmp_path / "scores.json"
    done(*squad.evaluate(squad.teacher, "--predictions", predictions, "--json", told))
    [dev] = metrics(squad.teacher)["dev"].values()
    assert json.loads(told.read_text())["dev"]["validation"] == pytest.approx(dev, abs=1e-6)
    answers, odds = json.loads(predictions.read_text()), json.loads((tmp_path / "dev-null-odds.json").read_text())
    rows = {row["id"]: row for row in questions()}
    assert answers.keys() == odds.keys() == rows.keys()
    assert all(answers[name] == "" for name in rows if odds[name] > 0)
    assert all(answers[name] in rows[name]["context"] for name in rows)
    right = [exact_match(answers[name], (row["answers"]["text"] or [""])[0]) for name, row in rows.items()]
    assert sum(right) / len(right) == pytest.approx(dev["exact"])


def test_transformers_loads_it_as_a_model_of_spans(squad):
    model, told = BertForQuestionAnswering.from_pretrained(squad.teacher, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    inputs = AutoTokenizer.from_pretrained(squad.teacher)("who is red ?", "the cat is red", return_tensors="pt")
    with torch.no_grad():
        assert model.eval()(**inputs).start_logits.shape == inputs["input_ids"].shape


def test_a_student_learns_layers_of_augmented_rows_and_predictions_of_the_original_ones(squad, tmp_path):
    done(*squad.distill(tmp_path / "student"))
    found = metrics(tmp_path / "student")
    assert found["stages"]["prediction"]["rows"] == len(questions())
    assert found["stages"]["intermediate"]["rows"] == pq.read_table(squad.augmented / "data").num_rows
    told = tmp_path / "scores.json"
    done(*squad.evaluate(tmp_path / "student", "--json", told))
    assert json.loads(told.read_text())["dev"]["validation"] == pytest.approx(found["dev"]["validation"], abs=1e-6)
    assert BertForQuestionAnswering.from_pretrained(tmp_path / "student").config.num_hidden_layers == 2


def whole(squad, parts, out, *more) -> list[str]:
    """A `run` of two variants a row."""
    return later_wins(
        "run", *TASK, "--data", squad.data, "--mlm", parts.mlm, "--glove", parts.glove, "--n", 2, "--workers", 1,
        "--teacher-model", squad.encoder, "--student", parts.student, "--student-init", "random", "--out", out, *more,
    )  # fmt: skip


def planned(said: str) -> dict[str, int]:
    """Rows of each stage by what a dry run prints."""
    words = [line.split() for line in said.splitlines()]
    return {some[0]: int(some[1]) for some in words if len(some) > 5 and some[1].isdigit()}


def test_a_dry_run_counts_augmented_rows_in_the_intermediate_stage_alone(squad, parts, tmp_path):
    said = done(*whole(squad, parts, tmp_path / "run", "--dry-run")).out
    rows = planned(said)
    assert rows["intermediate"] == 3 * len(questions())  # each with two variants
    assert rows["finetune"] == rows["prediction"] == len(questions())
    assert said.count("teacher cache: off") == 1


def test_a_dry_run_counts_windows_of_rows_that_are_not_there_yet(squad, parts, tmp_path):
    said = done(*whole(squad, parts, tmp_path / "run", "--max-length", 24, "--dry-run")).out
    assert planned(said)["intermediate"] == 3 * planned(said)["finetune"] > 4 * len(questions())


def test_an_answer_that_fits_no_window_is_a_bad_row(squad, parts, tmp_path):
    long = {**questions()[0], "id": "long", "answers": {"text": [questions()[0]["context"][3:60]], "answer_start": [3]}}
    path, command = tmp_path / "data", whole(squad, parts, tmp_path / "run", "--max-length", 16, "--max-steps", 1)
    write_official(path)
    (path / "train-v2.0.json").write_text(json.dumps(official([long, *questions()])), encoding="utf-8")
    command[command.index("--data") + 1] = str(path)
    assert "question long: expected its answer whole in a window of 16 tokens" in refused(command)
    assert not (tmp_path / "run").exists()
    said = done(*command, "--on-bad-row", "skip").err
    assert "left out 1 row whose answer lies whole in no window of 16 tokens, of the questions long" in said
    assert "left out 4 rows whose" in said  # with its variants


@pytest.mark.integration
def test_killed_in_both_stages_it_ends_with_the_same_bytes(squad, tmp_path):
    more = ("--epochs-intermediate", 4, "--epochs-prediction", 12, "--checkpoint-every", 3)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    done(*squad.distill(undisturbed, *more))
    for stage in ("intermediate", "prediction"):
        process = start(*squad.distill(killed, *more))
        wait_for(lambda stage=stage: len(list((killed / stage).glob("step-*"))) == 1, process)
        kill(process)
        assert not (killed / "metrics.json").exists()
    done(*squad.distill(killed, *more))
    assert {name: (killed / name).read_bytes() for name in SAME} == {
        name: (undisturbed / name).read_bytes() for name in SAME
    }
    assert results(killed) == results(undisturbed)


@pytest.mark.parametrize("method", ["bert-pkd", "distilbert", "finetune"])
def test_other_methods_learn_spans(squad, tmp_path, method):
    command = squad.distill(tmp_path / "student", "--method", method, "--epochs-prediction", 1)
    for option in ("--epochs-intermediate", *(["--train"] if method == "bert-pkd" else [])):
        place = command.index(option)
        del command[place : place + 2]
    if method == "finetune":
        command = [*command, "--student-init", "random"]
    ran = tinyaug(*command)
    assert ran.code == 0, ran.err
    assert 0 <= metrics(tmp_path / "student")["dev"]["validation"]["f1"] <= 1


def test_what_does_not_fit_is_refused(squad, parts, tmp_path):
    out = tmp_path / "out"
    assert "no task head (qa_outputs" in refused(squad.evaluate(parts.teacher))
    assert "--cache full: expected no teacher cache" in refused(squad.distill(out, "--cache", "full"))
    assert "expected a name that ends in .json" in refused(
        squad.evaluate(squad.teacher, "--predictions", tmp_path / "dev.csv")
    )
    long = [{**questions()[0], "answers": {"text": [questions()[0]["context"][3:60]], "answer_start": [3]}}]
    path = tmp_path / "train.json"
    path.write_text(json.dumps(official(long)), encoding="utf-8")
    said = refused(squad.finetune(out, "--data", path, "--max-length", 16))
    assert "train part, question q0: expected its answer whole in a window of 16 tokens" in said
    assert not out.exists()
