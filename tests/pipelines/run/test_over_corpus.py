"""`tinyaug run --corpus` for methods that learn from a teacher over text first."""

from __future__ import annotations

import pytest

from tests.fixtures import save_tiny_masked_lm
from tests.pipelines.jobs import done, kill, refused, start, wait_for
from tests.pipelines.methods.test_bert_pkd import OF_DISTILL, without
from tests.pipelines.training.verbs import general, metrics, run, run_json

CORPUS = ("--epochs-corpus", 1, "--batch-size-corpus", 16)


def over(parts, corpus, out, *more) -> list[str]:
    """The run of TinyBERT over a corpus."""
    return [*without(run(parts, out), "--student-init"), "--corpus", str(corpus), *map(str, (*CORPUS, *more))]


@pytest.mark.integration
def test_tinybert(parts, corpus, tmp_path):
    """A dry run, a kill within the stage over the corpus and its resume; the general student is `distill-general`'s."""
    out, whole, more = tmp_path / "run", tmp_path / "whole", ("--checkpoint-every", 2)
    said = done(*over(parts, corpus, out, "--dry-run")).out
    rows = [line.split()[0] for line in said.splitlines() if "examples" not in line and "done" not in line]
    assert [name for name in rows if name in STAGES] == STAGES
    assert not out.exists()
    process = start(*over(parts, corpus, out, *more))
    wait_for(lambda: list((out / "general/general").glob("step-*")), process)
    kill(process)
    done(*over(parts, corpus, out, *more))
    done(*over(parts, corpus, whole))
    for name in ("general/model.safetensors", "general/general/losses.csv", "student/model.safetensors"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    found = metrics(whole)
    assert list(found["stages"]) == STAGES
    assert found["stages"]["general"]["rows"] == metrics(whole / "general")["sequences"]
    assert run_json(whole / "student")["sources"]["student_init"] == str(whole / "general")
    done(*without(general(parts, corpus, tmp_path / "alone", "--epochs", 1), "--lr"))
    assert (tmp_path / "alone/model.safetensors").read_bytes() == (whole / "general/model.safetensors").read_bytes()
    assert "everything was done already" in done(*over(parts, corpus, whole, "--dry-run")).out
    assert "--student-init" in refused(run(parts, whole))  # without its corpus it is another student


STAGES = ["general", "finetune", "intermediate", "prediction"]


def test_distilbert(parts, corpus, tmp_path):
    command = without(over(parts, corpus, tmp_path / "run"), "--student", "--n", "--glove", "--engine", "--workers",
                      *OF_DISTILL)  # fmt: skip
    done(*command, "--method", "distilbert", "--max-steps", 3)
    assert list(metrics(tmp_path / "run")["stages"]) == ["general", "finetune", "prediction"]
    told = run_json(tmp_path / "run/general")["settings"]
    assert (told["method"], told["masked_lm"]["soft"], told["recipe"]["learning_rate"]) == ("distilbert", 5.0, 5e-4)
    assert (told["student"]["start"], told["student"]["layer_map"]) == ("teacher-layers", [2, 4])


def test_losses_of_the_task_are_not_the_corpus_s(parts, corpus, tmp_path):
    """Table 6 leaves losses out of the task stage; how heads are compared counts in both."""
    done(*over(parts, corpus, tmp_path / "run", "--losses", "attention", "--heads", "mean", "--max-steps", 1))
    found = [run_json(tmp_path / "run" / name)["settings"]["losses"] for name in ("general", "student")]
    assert [one["kinds"] for one in found] == [["embedding", "attention", "hidden"], ["attention"]]
    assert [one["heads"] for one in found] == ["mean", "mean"]


def test_a_given_teacher_of_other_words_is_refused_before_anything_is_done(parts, corpus, tmp_path):
    encoder = save_tiny_masked_lm(tmp_path / "encoder", num_hidden_layers=4)
    tokenizer = encoder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"gripping"', '"grapping"').replace('"film"', '"fulm"'))
    out = tmp_path / "run"
    command = without(over(parts, corpus, out), "--teacher-model", "--epochs-finetune")
    command += ["--teacher", str(parts.teacher), "--teacher-model", str(encoder)]
    assert "expected one vocabulary for teacher and student" in refused(command)
    assert not (out / "augmented").exists()
