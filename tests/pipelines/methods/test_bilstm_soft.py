"""`--method bilstm-soft` of `distill`, `run` and `cache-teacher`: a student of words, of another vocabulary."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file

from tests.pipelines.jobs import done, everything, kill, refused, start, wait_for
from tests.pipelines.methods.test_bert_pkd import OF_DISTILL, without
from tests.pipelines.training.verbs import ahead, distill, evaluate, metrics, run, run_json

METHOD = ("--method", "bilstm-soft")


def words(parts, out, *more) -> list[str]:
    """`distill` by the method's own defaults, from augmented rows."""
    command = without(distill(parts, out), "--student", *OF_DISTILL[1:])
    return [*command, *METHOD, "--glove", str(parts.glove), *map(str, more)]


@pytest.fixture(scope="module")
def student(parts, tmp_path_factory):
    """A finished student; look, don't touch."""
    out = tmp_path_factory.mktemp("bilstm") / "student"
    assert "nothing was written" in done(*words(parts, out, "--dry-run")).out
    assert not out.exists()
    done(*words(parts, out))
    return out


def test_what_it_leaves(parts, student):
    told, found = run_json(student), metrics(student)
    assert told["settings"]["method"] == "bilstm-soft"
    assert told["settings"]["prediction"] == {"epochs": 5, "batch_rows": 32, "learning_rate": 1e-3, "max_steps": None}
    assert told["resolved"]["cache"]["content"] == "logits"
    assert {name: stage["rows"] for name, stage in found["stages"].items()} == {"prediction": 240}
    config = json.loads((student / "config.json").read_text())
    assert (config["model_type"], config["embedding_size"], config["hidden_size"]) == ("bilstm-soft", 8, 150)
    assert load_file(student / "model.safetensors")["embeddings.weight"].shape == (config["vocab_size"], 8)
    card = (student / "README.md").read_text()
    assert "import distill.bilstm" in card
    assert "a bidirectional LSTM of 150 units a direction over" in card
    assert done("status", student).out.splitlines()[-1] == "complete"
    before = everything(student)
    assert "everything was done already" in done(*words(parts, student)).out
    assert everything(student) == before


def test_it_is_loaded_and_gives_its_score(parts, student, tmp_path):
    done(*evaluate(parts, student, "--json", tmp_path / "found.json"))
    assert json.loads((tmp_path / "found.json").read_text())["dev"] == metrics(student)["dev"]


def test_a_cache_made_ahead_serves(parts, student, tmp_path):
    command = without(ahead(parts, tmp_path / "cache"), "--student", "--student-init")
    done(*command, *METHOD, "--glove", str(parts.glove))
    done(*words(parts, tmp_path / "s", "--cache-dir", tmp_path / "cache"))
    assert run_json(tmp_path / "s")["resolved"]["cache"]["words"].endswith("made ahead")
    assert (tmp_path / "s/model.safetensors").read_bytes() == (student / "model.safetensors").read_bytes()


def test_pairs(parts, pairs_folder, tmp_path):
    """A teacher of two classes teaches another task's pairs as well as any."""
    rte = ["--task", "custom", "--text", "sentence1", "--text", "sentence2", "--label", "label", "--label-names"]
    rte += ["entailment,not_entailment", "--data", str(pairs_folder)]
    encoder = ["finetune", *rte, "--model", str(parts.encoder), "--out", str(tmp_path / "t"), "--max-length", "32"]
    done(*encoder, "--max-steps", "1", "--device", "cpu")
    command = ["distill", *rte, "--teacher", str(tmp_path / "t"), *METHOD, "--glove", str(parts.glove), "--max-steps"]
    done(*command, "2", "--out", str(tmp_path / "s"), "--max-length", "32", "--device", "cpu")
    assert json.loads((tmp_path / "s/config.json").read_text())["pairs"] is True
    done("evaluate", *rte, "--model", str(tmp_path / "s"), "--json", str(tmp_path / "found.json"), "--device", "cpu")
    assert json.loads((tmp_path / "found.json").read_text())["dev"] == metrics(tmp_path / "s")["dev"]


def test_a_whole_run_shares_the_vectors_of_the_augmentation(parts, tmp_path):
    command = [*without(run(parts, tmp_path / "run"), "--student", *OF_DISTILL[1:]), *METHOD]
    done(*command, "--max-steps", "3")
    found = metrics(tmp_path / "run")
    assert list(found["stages"]) == ["finetune", "prediction"]
    assert found["sizes"]["student"]["layers"] == 1
    assert run_json(tmp_path / "run/student")["sources"]["glove"] == parts.glove.name
    assert "--glove none: expected word vectors" in refused([*command, "--glove", "none", "--out", str(tmp_path / "n")])


def test_what_is_refused(parts, tmp_path):
    out = tmp_path / "s"
    for typed, said in (
        (("--student", "tinybert4"), "--student tinybert4: expected a method whose student is an encoder"),
        (("--student-init", "general"), None),  # the default of others
        (("--student-init", "teacher-layers"), "--student-init teacher-layers: expected a method whose student is an"),
        (("--temperature", 2), "--temperature: expected a method whose student is an encoder"),
        (("--losses", "hidden"), "--losses: expected a method with an intermediate stage"),
        (("--glove", "none"), "--glove none: expected word vectors"),
        (("--glove", tmp_path / "nowhere.txt"), "nowhere.txt"),
    ):
        if said is not None:
            assert said in refused(words(parts, out, *typed))
    strange = tmp_path / "strange.txt"
    strange.write_text("ñandú 1 2 3\nжизнь 3 2 1\n")
    assert "expected vectors of the words of the train part, found none of its" in refused(
        words(parts, out, "--glove", strange)
    )
    assert "--glove" in refused(distill(parts, out, "--glove", parts.glove))
    assert not out.exists()


@pytest.mark.integration
def test_killed_and_resumed_gives_the_same_student(parts, tmp_path):
    more = ("--epochs-prediction", 12, "--checkpoint-every", 3)
    done(*words(parts, tmp_path / "whole", *more))
    process = start(*words(parts, tmp_path / "killed", *more))
    wait_for(lambda: list((tmp_path / "killed/prediction").glob("step-*")), process)
    kill(process)
    assert not (tmp_path / "killed/metrics.json").exists()
    done(*words(parts, tmp_path / "killed", *more))
    for name in ("model.safetensors", "prediction/losses.csv", "prediction/dev.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
