"""BERT-PKD as a method of `distill`, `run` and `cache-teacher`: what it reads, keeps, leaves and refuses."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from pipelines.found import Found
from pipelines.methods.names import METHODS
from pipelines.options.data import DataChoice
from pipelines.options.models import Size
from pipelines.options.running import Machine
from pipelines.options.teacher_cache import CacheChoice
from pipelines.options.training import LossChoice, PkdChoice, Reading
from pipelines.training.recipe import LEFT_OUT, StageRecipe
from pipelines.training.request import DistillRequest
from tests.pipelines.jobs import done, everything, kill, refused, start, tinyaug, wait_for
from tests.pipelines.training.verbs import distill, metrics, run, run_json

METHOD = ("--method", "bert-pkd", "--student", "layers:2")
OF_DISTILL = ("--train", "--student-init", "--epochs-intermediate", "--epochs-prediction")


def without(command: list[str], *options: str) -> list[str]:
    for option in options:
        if option in command:
            at = command.index(option)
            command = command[:at] + command[at + 2 :]
    return command


def pkd(parts, out, *more) -> list[str]:
    """`distill` by the method's own defaults."""
    command = without(distill(parts, out), "--student", *OF_DISTILL)
    return [*command, *METHOD, "--encoder", str(parts.encoder), *map(str, more)]


@pytest.fixture(scope="module")
def student(parts, tmp_path_factory):
    """A finished student; look, don't touch."""
    out = tmp_path_factory.mktemp("pkd") / "student"
    assert "nothing was written" in done(*pkd(parts, out, "--dry-run")).out
    assert not out.exists()
    done(*pkd(parts, out))
    return out


def test_what_it_leaves(parts, student):
    told, found = run_json(student), metrics(student)
    assert told["settings"]["method"] == "bert-pkd"
    assert told["settings"]["prediction"] == {"epochs": 4, "batch_rows": 32, "learning_rate": 1e-5, "max_steps": None}
    assert told["settings"]["pkd"] == {"alpha": 0.7, "temperature": 10.0, "beta": 500.0, "layers": "skip"}
    assert told["resolved"]["cache"]["content"] == "cls"
    assert found["layer_map"] == [2]
    assert {name: stage["rows"] for name, stage in found["stages"].items()} == {"prediction": 60}
    header = next(csv.reader((student / "prediction/losses.csv").open()))
    assert header[-4:] == ["loss", "labels", "prediction", "patience"]
    card = (student / "README.md").read_text()
    assert "- bert-pkd\n" in card
    assert "- method: BERT-PKD (alpha 0.7, temperature 10, beta 500)\n" in card
    assert not (student / "projections.safetensors").exists()
    assert "prediction   done, 8 steps" in done("status", student).out
    before = everything(student)
    assert "found other --encoder (in `run`: --teacher-model): " in refused(
        pkd(parts, student, "--encoder", parts.teacher)
    )
    assert "everything was done already" in done(*pkd(parts, student)).out
    assert everything(student) == before


def test_status_of_a_folder_that_does_not_name_its_stages(student, tmp_path):
    earlier = shutil.copytree(student, tmp_path / "earlier")
    told = run_json(earlier)
    del told["stages"]
    (earlier / "run.json").write_text(json.dumps(told))
    assert done("status", earlier).out.splitlines() == [
        "intermediate left out", "prediction   done, 8 steps", "complete"
    ]  # fmt: skip


def test_it_starts_from_the_first_layers_of_the_encoder(parts, tmp_path):
    done(*pkd(parts, tmp_path / "s", "--lr-prediction", 1e-12, "--max-steps", 1))
    mine, theirs = load_file(tmp_path / "s/model.safetensors"), load_file(parts.encoder / "model.safetensors")
    shared = [name for name in mine if name.startswith("bert.encoder.layer.")]
    assert len({name.split(".")[3] for name in shared}) == 2
    assert all((mine[name] - theirs[name]).abs().max() < 1e-6 for name in shared)


def test_other_weights_and_layers(parts, tmp_path):
    more = ("--alpha", 0.5, "--temperature", 2, "--pkd-layers", "last", "--max-steps", 2)
    done(*pkd(parts, tmp_path / "s", *more, "--cache", "full"))
    assert run_json(tmp_path / "s")["settings"]["pkd"] == {
        "alpha": 0.5, "temperature": 2.0, "beta": 500.0, "layers": "last"
    }  # fmt: skip
    assert metrics(tmp_path / "s")["layer_map"] == [3]


@pytest.mark.parametrize(("method", "group", "own"), [("bert-pkd", "pkd", 10.0), ("tinybert", "losses", 1.0)])
def test_a_temperature_of_a_method_s_own(method, group, own):
    request = DistillRequest(
        data=DataChoice(task="sst2"), out="", teacher="", reading=Reading(), machine=Machine(), pkd=PkdChoice(),
        cache=CacheChoice(), losses=LossChoice(), size=Size(), intermediate=LEFT_OUT,
        prediction=StageRecipe(1, 8, 1e-5),
    )  # fmt: skip
    for given, expected in ((None, own), (2.0, 2.0), (1.0, 1.0)):
        asked = replace(request, losses=LossChoice(temperature=given))
        assert METHODS[method].build(asked).settings[group]["temperature"] == expected


def test_without_the_patience_loss_no_layers_are_learnt(parts, tmp_path):
    ran = done(*pkd(parts, tmp_path / "s", "--beta", 0, "--student", "layers:1", "--max-steps", 2, "--cache", "full"))
    assert "layer map" not in ran.err
    assert metrics(tmp_path / "s")["layer_map"] == []
    assert next(csv.reader((tmp_path / "s/prediction/losses.csv").open()))[-1] == "prediction"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--train", "{train}"), "expected a method that learns from augmented rows"),
        (("--losses", "hidden"), "--losses: expected a method with an intermediate stage"),
        (("--epochs-intermediate", "1"), "--epochs-intermediate: expected a method with an intermediate stage"),
        (("--layer-weights", "0,0,0,0.5"), "--layer-weights: expected a method with an intermediate stage"),
        (("--layer-map", "top"), "--layer-map top: expected a method with an intermediate stage, or --student-init"),
        (("--beta", "0", "--pkd-layers", "last"), "--pkd-layers last: expected --beta above 0 beside it"),
        (("--alpha", "2"), "--alpha: expected a number from 0 to 1, found 2"),
        (("--student", "tinybert4"), "hidden_size 312"),
        (("--student", "layers:1"), "expected a student of at least 2 layers for BERT-PKD; found 1"),
        (("--student", "layers:5"), "error: --student layers:5: expected at most the layers of the teacher, found 5"),
        (("--student", "layers:0"), "error: --student layers:0: expected a student layers:N with N of 1 or more"),
        (("--student", "layers:x"), "error: --student layers:x: expected a student layers:N with N of 1 or more"),
        (("--beta", "inf"), "error: --beta: expected a number of at least 0, found inf"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_is_refused(parts, tmp_path, more, said):
    typed = [word.format(train=parts.train) for word in more]
    command = without(pkd(parts, tmp_path / "s"), typed[0]) + typed
    assert said in refused(command)
    assert not (tmp_path / "s").exists()


def test_it_refuses_data_without_labels(parts, tmp_path):
    (tmp_path / "x.csv").write_text("body\na film\na plot\n")
    custom = ("--task", "custom", "--text", "body")
    said = "expected a task with labels to learn from, found none; name them with"
    assert f"{said} --label COLUMN" in refused(pkd(parts, tmp_path / "s", *custom, "--data", tmp_path / "x.csv"))
    assert f"{said} --data and --label COLUMN" in refused(without(pkd(parts, tmp_path / "s", *custom), "--data"))
    assert not (tmp_path / "s").exists()


def test_its_options_beside_another_method(parts, tmp_path):
    for option in (("--alpha", 0.5), ("--beta", 1), ("--pkd-layers", "last")):
        said = refused(distill(parts, tmp_path / "s", *option))
        assert option[0] in said
        assert "expected --method bert-pkd beside it" in said
    assert "give --encoder" in refused(without(pkd(parts, tmp_path / "s"), "--encoder"))
    for option, value in (("--encoder", parts.encoder), ("--encoder-revision", "main")):
        said = refused(distill(parts, tmp_path / "s", option, value))
        assert f"{option} {value}: expected --student-init first-layers beside it" in said


def test_the_revision_of_the_encoder(parts, tmp_path, monkeypatch):
    asked, find = [], Found.model
    monkeypatch.setattr(Found, "model", lambda *given: asked.append(given[2:]) or find(*given))
    done(*pkd(parts, tmp_path / "s", "--encoder-revision", "v2", "--dry-run"))
    assert asked == [(None, "teacher"), ("v2", "encoder")]


def test_a_cache_made_ahead_gives_the_same_student(parts, student, tmp_path):
    ahead = without(pkd(parts, tmp_path / "cache"), "--encoder")
    ahead[0] = "cache-teacher"
    assert "teacher cache: cls" in done(*ahead, "--dry-run").out
    done(*ahead)
    for more, said in (
        (("--pkd-layers", "last"), "found other --pkd-layers: [2] there, [3] now. "),
        (("--beta", 0), 'found other --beta (kept): "cls" there, "logits" now. '),
    ):
        assert said in refused([*ahead, *map(str, more)])
    last = ("--pkd-layers", "last", "--cache-dir", tmp_path / "cache")
    assert "now [3] (--pkd-layers); choose another" in refused(pkd(parts, tmp_path / "s", *last))
    done(*pkd(parts, tmp_path / "s", "--cache-dir", tmp_path / "cache"))
    assert run_json(tmp_path / "s")["resolved"]["cache"]["words"].endswith("made ahead")
    assert (tmp_path / "s/model.safetensors").read_bytes() == (student / "model.safetensors").read_bytes()


def test_a_run_augments_nothing(parts, tmp_path):
    command = without(run(parts, tmp_path / "run"), "--student", "--n", "--glove", "--engine", "--workers", *OF_DISTILL)
    command += METHOD
    assert "augment:" not in done(*command, "--dry-run").out
    assert not (tmp_path / "run").exists()
    assert "prediction" in done(*command).out
    assert sorted(path.name for path in (tmp_path / "run").glob("[!.]*")) == [
        "config.toml", "metrics.json", "run.json", "student", "teacher", "teacher_cache"
    ]  # fmt: skip
    assert list(metrics(tmp_path / "run")["stages"]) == ["finetune", "prediction"]
    assert done("status", tmp_path / "run").out.endswith("complete\n")
    for again in (command, [*command, "--dry-run"]):
        assert "everything was done already" in done(*again).out
    assert "found other --method: bert-pkd there, tinybert now. Use" in refused(run(parts, tmp_path / "run"))
    said = refused([*without(command, "--student"), "--student", "layers:3"])
    assert "found other --student (num_hidden_layers): 2 there, 3 now. Use" in said
    assert "a run of `tinyaug run` that has no augmented rows" in refused(["verify", str(tmp_path / "run")])
    data, before = shutil.copytree(parts.data, tmp_path / "data"), everything(tmp_path / "run")
    (data / "train.tsv").write_text((data / "train.tsv").read_text() + "no label\n")
    refused([*(str(data) if word == str(parts.data) else word for word in command), "--overwrite"])
    changed = {name for name, content in everything(tmp_path / "run").items() if before[name] != content}
    assert changed <= {"run.json"}  # which says with what command
    (tmp_path / "run/student/metrics.json").unlink()
    assert "student     not trained yet" in tinyaug("status", tmp_path / "run").out
    done(*command, "--overwrite")


def test_a_run_refuses_what_only_augmentation_reads(parts, tmp_path):
    command = without(run(parts, tmp_path / "run"), "--student", "--n", "--glove", "--engine", "--workers", *OF_DISTILL)
    for option in (
        ("--limit", 10), ("--n", 3), ("--keep-whole",), ("--engine", "local"), ("--glove", parts.glove),
        ("--shard-rows", 10), ("--verify",), ("--allow-rejects",), ("--augment-precision", "bf16"),
    ):  # fmt: skip
        said = refused([*command, *METHOD, *map(str, option)])
        assert said.startswith(f"tinyaug: error: {option[0]}")
        assert "expected a method that learns from augmented rows beside it" in said
    heeded = ("--on-bad-row", "skip", "--seed", "7", "--student", "layers:1")
    assert "expected a student of at least 2 layers" in refused([*command, *METHOD[:2], *heeded])
    assert not (tmp_path / "run").exists()


def test_a_run_refuses_a_foreign_folder_before_anything_else(parts, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.whole_run.run_job.announcement", lambda *_: pytest.fail("estimated"))
    command = without(run(parts, tmp_path), "--student", "--n", "--glove", "--engine", "--workers", *OF_DISTILL)
    (tmp_path / "mine.txt").write_text("notes")
    assert "found mine.txt; choose another --out" in refused([*command, *METHOD, "--overwrite"])


def test_a_run_starts_where_it_is_told(parts, tmp_path):
    command = without(run(parts, tmp_path / "run"), "--student", "--n", "--glove", "--engine", "--workers", *OF_DISTILL)
    said = refused([*command, *METHOD[:2], "--student-init", "general", "--student", "tinybert4"])
    assert "--student-init general: expected the weights of huawei-noah/TinyBERT_General_4L_312D" in said


def test_a_cache_that_would_keep_nothing(parts, tmp_path):
    ahead = ["cache-teacher", *without(pkd(parts, tmp_path / "cache"), "--encoder")[1:], "--cache-budget", "1KB"]
    for command in (ahead, [*ahead, "--dry-run"]):
        assert "nothing would be kept; raise --cache-budget" in refused(command)
    done(*ahead[:-2], "--beta", 0)
    assert "other --" in refused(ahead[:-2])


@pytest.mark.integration
def test_killed_and_resumed_gives_the_same_student(parts, tmp_path):
    more = ("--epochs-prediction", 12, "--checkpoint-every", 3)
    done(*pkd(parts, tmp_path / "whole", *more))
    process = start(*pkd(parts, tmp_path / "killed", *more))
    wait_for(lambda: list((tmp_path / "killed/prediction").glob("step-*")), process)
    kill(process)
    assert not (tmp_path / "killed/metrics.json").exists()
    done(*pkd(parts, tmp_path / "killed", *more))
    for name in ("model.safetensors", "prediction/losses.csv", "prediction/dev.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
