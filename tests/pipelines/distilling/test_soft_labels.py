"""`distill --soft-labels COLUMN`."""

from __future__ import annotations

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipelines.jobs import done, kill, refused, start, wait_for
from tests.pipelines.methods.test_bert_pkd import OF_DISTILL, without
from tests.pipelines.training.verbs import distill, evaluate, metrics, run_json


@pytest.fixture(scope="module")
def rows(parts, tmp_path_factory):
    """Augmented rows with probabilities that the label has, by list and by name, and some in the other order."""
    folder = tmp_path_factory.mktemp("soft") / "rows"
    folder.mkdir()
    for path in sorted((parts.train / "data").glob("*.parquet")):
        table = pq.read_table(path)
        label = np.asarray(table.column("label"))
        sure = np.where(label[:, None] == np.arange(2), 0.9, 0.1)
        table = table.append_column("p", pa.array(sure.tolist()))
        table = table.append_column("swapped", pa.array(sure[:, ::-1].tolist()))
        pq.write_table(table.append_column("three", pa.array([[0.2, 0.3, 0.5]] * len(label))), folder / path.name)
    return folder


def soft(parts, rows, out, *more) -> list[str]:
    command = without(distill(parts, out), "--teacher", "--student", *OF_DISTILL)
    given = ("--train", rows, "--teacher", parts.encoder, "--method", "distilbert", "--soft-labels", "p")
    return [*command, *map(str, (*given, *more))]


def test_a_student_of_a_column_needs_no_teacher(parts, rows, tmp_path):
    out = tmp_path / "s"
    command = soft(parts, rows, out, "--epochs-prediction", 2, "--temperature", 1)
    assert "nothing was written" in done(*command, "--dry-run").out
    assert "soft labels: probabilities of column p; no teacher is run" in done(*command).err
    found = metrics(out)
    assert found["teacher_dev"] == {}
    assert run_json(out)["settings"]["soft_labels"] == "p"
    assert not (out / "teacher_cache").exists()
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    losses = [float(row["prediction"]) for row in csv.DictReader((out / "prediction/losses.csv").open())]
    assert min(losses) > entropy - 1e-4
    assert f"{found['dev']['validation']['accuracy']:.4f}" in done(*evaluate(parts, out)).out
    assert "- soft labels: column p\n" in (out / "README.md").read_text()
    assert "everything was done already" in done(*command).out


def test_a_student_with_a_start_of_its_own_needs_no_teacher_s_shape(parts, rows, tmp_path):
    command, out = without(soft(parts, rows, tmp_path / "s"), "--teacher"), tmp_path / "s"
    said = "--soft-labels p: expected a model for the student's shape and vocabulary, found none"
    assert said in refused(command)
    assert "--teacher: expected a model that was fine-tuned" in refused(without(command, "--soft-labels"))
    done(*command, "--student-init", parts.encoder, "--max-steps", 2)
    assert metrics(out)["stages"]["prediction"]["steps"] == 2
    card = (out / "README.md").read_text()
    assert "A student of the column `p`" in card
    assert "teacher:" not in card


def test_verbs_that_have_an_option_are_named():
    said = refused(["run", "--task", "sst2", "--soft-labels", "p"])
    assert "No such option: --soft-labels (an option of distill)" in said


def test_words_learn_from_a_column_too(parts, rows, tmp_path):
    command = soft(parts, rows, tmp_path / "s", "--max-steps", 2, "--glove", parts.glove)
    command = [*without(command, "--method"), "--method", "bilstm-soft"]
    assert "expected --teacher beside --method bilstm-soft, found none" in refused(without(command, "--teacher"))
    done(*command)
    assert metrics(tmp_path / "s")["stages"]["prediction"]["steps"] == 2


def test_what_is_refused(parts, rows, tmp_path):
    out = tmp_path / "s"
    for typed, said in (
        (("--soft-labels", "three"), "expected 2 numbers in column three, one for each of negative, positive; found 3"),
        (("--soft-labels", "q"), "expected soft labels in column q"),
        (("--soft-labels", "swapped"), "expected the classes in the order"),
        (
            ("--method", "tinybert"),
            "expected a method that learns logits alone, of the rows of --train, found tinybert",
        ),
        (("--method", "finetune"), "expected a method that learns logits alone"),
        (("--train-rows", 9), "expected all rows of --train, found a subset of 9"),
        (("--cache", "logits"), "--cache logits: expected no --soft-labels beside it"),
    ):
        command = soft(parts, rows, out)
        assert said in refused([*without(command, typed[0]), *map(str, typed)])
    command = without(soft(parts, rows, out), "--train")
    assert "--soft-labels p: expected --train with Parquet shards beside it" in refused(command)
    assert not out.exists()


@pytest.mark.integration
def test_killed_and_resumed_gives_the_same_student(parts, rows, tmp_path):
    more = ("--epochs-prediction", 12, "--checkpoint-every", 3)
    done(*soft(parts, rows, tmp_path / "whole", *more))
    process = start(*soft(parts, rows, tmp_path / "killed", *more))
    wait_for(lambda: list((tmp_path / "killed/prediction").glob("step-*")), process)
    kill(process)
    done(*soft(parts, rows, tmp_path / "killed", *more))
    for name in ("model.safetensors", "prediction/losses.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
