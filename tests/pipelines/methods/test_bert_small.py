"""BERT_SMALL: pre-trained, then fine-tuned, by `distill` or by one `run`."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from tests.pipelines.jobs import done, everything, kill, refused, start, wait_for
from tests.pipelines.methods.test_bert_pkd import OF_DISTILL, without
from tests.pipelines.training.verbs import ahead, distill, evaluate, metrics, pretrain, run, run_json

METHOD = ("--method", "bert-small")


def task(parts, out, small, *more) -> list[str]:
    """`distill` by the method's own defaults."""
    command = without(distill(parts, out), "--student", "--student-init", "--train", "--epochs-intermediate")
    return [*without(command, "--epochs-prediction"), *METHOD, "--student-init", str(small), *map(str, more)]


def whole(parts, corpus, out, *more) -> list[str]:
    """`run` over a corpus."""
    command = without(run(parts, out), "--n", "--glove", "--engine", "--workers", "--student-init", *OF_DISTILL)
    few = ("--epochs-corpus", 2, "--batch-size-corpus", 16, "--lr-corpus", 5e-3, "--lr-prediction", 1e-3)
    return [*command, *METHOD, "--corpus", str(corpus), *map(str, (*few, *more))]


@pytest.fixture(scope="module")
def finished(parts, corpus, tmp_path_factory):
    """A run; look, don't touch."""
    out = tmp_path_factory.mktemp("bert-small") / "run"
    said = done(*whole(parts, corpus, out, "--dry-run")).out
    assert [line.split()[0] for line in said.splitlines()[1:4]] == ["pretraining", "finetune", "labels"]
    assert "of one document), " in said
    assert not out.exists()
    done(*whole(parts, corpus, out))
    return out


def test_what_a_run_leaves(parts, corpus, finished):
    found, general, student = metrics(finished), metrics(finished / "general"), metrics(finished / "student")
    assert list(found["stages"]) == ["pretraining", "finetune", "labels"]
    assert found["stages"]["pretraining"]["rows"] == general["sequences"] > 20
    assert found["stages"]["pretraining"]["steps"] == general["steps"]
    assert list(found["folders"]) == ["general", "teacher", "student"]
    assert found["dev"]["student"] == student["dev"]
    assert not (finished / "augmented").exists()
    told = run_json(finished / "student")
    assert told["settings"]["method"] == "bert-small"
    assert told["settings"]["prediction"] == {"epochs": 3, "batch_rows": 32, "learning_rate": 1e-3, "max_steps": None}
    assert told["sources"]["student_init"] == str(finished / "general")
    card = (finished / "student/README.md").read_text()
    assert "- method: BERT_SMALL: pre-trained from scratch, then fine-tuned on labels\n" in card
    assert "general     trained" in done("status", finished).out
    assert done("status", finished).out.endswith("complete\n")
    before = everything(finished)
    assert "everything was done already" in done(*whole(parts, corpus, finished)).out
    assert "everything was done already" in done(*whole(parts, corpus, finished, "--dry-run")).out
    assert {name: digest for name, digest in everything(finished).items() if name != "metrics.json"} == {
        name: digest for name, digest in before.items() if name != "metrics.json"
    }


def test_the_student_has_the_dev_score_that_is_told(parts, finished, tmp_path):
    done(*evaluate(parts, finished / "student", "--json", tmp_path / "dev.json"))
    assert json.loads((tmp_path / "dev.json").read_text())["dev"] == metrics(finished / "student")["dev"]


def test_distill_gives_the_same_student(parts, corpus, finished, tmp_path):
    done(*pretrain(parts, corpus, tmp_path / "small", "--epochs", 2))
    name = "model.safetensors"
    assert (tmp_path / "small" / name).read_bytes() == (finished / "general" / name).read_bytes()
    other = ("--teacher", finished / "teacher", "--lr-prediction", 1e-3)
    done(*without(task(parts, tmp_path / "student", tmp_path / "small"), "--teacher"), *other)
    assert (tmp_path / "student" / name).read_bytes() == (finished / "student" / name).read_bytes()
    done(*task(parts, tmp_path / "as-it-was", tmp_path / "small", "--lr-prediction", 1e-12, "--max-steps", 1))
    before, after = load_file(tmp_path / "small" / name), load_file(tmp_path / "as-it-was" / name)
    for one in ("bert.pooler.dense.weight", "bert.encoder.layer.1.output.dense.weight"):
        torch.testing.assert_close(before[one], after[one], atol=1e-6, rtol=0)


def test_a_run_takes_what_was_pre_trained_before(parts, finished, tmp_path):
    command = without(run(parts, tmp_path / "run"), "--student", "--student-init", "--n", "--glove", "--engine")
    command = [*without(command, "--workers", *OF_DISTILL), *METHOD, "--student-init", str(finished / "general")]
    done(*command, "--max-steps", 1)
    assert list(metrics(tmp_path / "run")["stages"]) == ["finetune", "labels"]
    assert not (tmp_path / "run/general").exists()


@pytest.mark.integration
@pytest.mark.parametrize("stage", ["general/pretraining", "student/labels"])
def test_killed_and_resumed_gives_the_same_bytes(parts, corpus, finished, tmp_path, stage):
    out, more = tmp_path / "run", ("--checkpoint-every", 2)
    process = start(*whole(parts, corpus, out, *more))
    wait_for(lambda: list((out / stage).glob("step-*")), process)
    kill(process)
    assert not (out / "metrics.json").exists()
    done(*whole(parts, corpus, out, *more))
    for name in ("general/pretraining/losses.csv", "general/model.safetensors", "student/model.safetensors"):
        assert (out / name).read_bytes() == (finished / name).read_bytes(), name


def test_what_is_refused(parts, corpus, finished, tmp_path):
    out = tmp_path / "out"
    small = finished / "general"
    expected = "--method bert-small: expected --student-init with a folder that `tinyaug pretrain` made"
    assert expected in refused(without(task(parts, out, small), "--student-init"))
    assert expected in refused([*without(task(parts, out, small), "--student-init"), "--student-init", "random"])
    assert expected in refused(without(whole(parts, corpus, out), "--corpus", "--epochs-corpus", "--batch-size-corpus",
                                       "--lr-corpus"))  # fmt: skip
    for typed, said in (
        (("--student-init", small), f"--student-init {small}: expected no --corpus, from which its start is made,"),
        (("--method", "finetune"), "expected --method tinybert, distilbert, bert-small beside it"),
        (("--temperature", 2), "--temperature: expected a method that learns from its teacher"),
    ):
        command = whole(parts, corpus, out)
        command = without(command, "--method") if typed[0] == "--method" else command
        assert said in refused([*command, *map(str, typed)])
    command = without(whole(parts, corpus, out), "--corpus")
    assert "expected --corpus beside" in refused([*command, "--student-init", str(small)])
    assert "expected a file, a folder or a name on the hub" in refused([*command, "--corpus", str(tmp_path / "no.txt")])
    assert "expected a method that learns from its teacher" in refused(ahead(parts, out, *METHOD))
    assert not out.exists() or not [path for path in out.iterdir() if path.name != ".lock"]
    assert "--corpus-limit): null there, 9 now" in refused(whole(parts, corpus, finished, "--corpus-limit", 9))
