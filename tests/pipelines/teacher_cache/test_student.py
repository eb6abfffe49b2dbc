"""A cache depends on the student's layers alone: `cache-teacher` asks for no weights, and its messages name options."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.pipelines.jobs import done, everything, tinyaug
from tests.pipelines.training.verbs import ahead, distill, run_json


def without(command: list[str], *options: str) -> list[str]:
    command = list(command)
    for option in options:
        at = command.index(option)
        del command[at : at + 2]
    return command


@pytest.mark.parametrize("start", ["general", "teacher-layers", "/nowhere/general"])
def test_weights_are_not_asked_for(parts, tmp_path, start):
    done(*ahead(parts, tmp_path / "cache", "--train-rows", 20, "--student-init", start))
    done(*without(ahead(parts, tmp_path / "other", "--train-rows", 20), "--student-init"))
    assert everything(tmp_path / "cache/full") == everything(tmp_path / "other/full")


def test_the_cache_serves_a_student_of_any_start(parts, tmp_path):
    done(*without(ahead(parts, tmp_path / "cache"), "--student-init"))
    before = everything(tmp_path / "cache")
    done(*distill(parts, tmp_path / "s", "--cache-dir", tmp_path / "cache", "--epochs-prediction", 0))
    start = shutil.copytree(tmp_path / "s", tmp_path / "start")
    more = ("--student-init", start, "--cache-dir", tmp_path / "cache", "--epochs-prediction", 1)
    done(*distill(parts, tmp_path / "t", *more))
    assert run_json(tmp_path / "t")["resolved"]["cache"]["words"].endswith("made ahead")
    assert everything(tmp_path / "cache") == before


def test_a_folder_tells_the_layers(parts, tmp_path):
    done(*distill(parts, tmp_path / "start", "--epochs-intermediate", 0, "--max-steps", 1))
    command = ahead(parts, tmp_path / "cache", "--train-rows", 8, "--student-init", tmp_path / "start")
    done(*without(command, "--student"))
    assert run_json(tmp_path / "cache")["settings"]["layer_map"] == [2, 4]


@pytest.mark.parametrize("verb", [ahead, distill])
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--layer-map", "1,2,3"), "--layer-map 1,2,3: expected 2 layers"),
        (("--layer-map", "odd"), "--layer-map odd: expected a layer map"),
    ],
)
def test_options_are_named(parts, tmp_path, verb, more, said):
    ran = tinyaug(*verb(parts, tmp_path / "out", *more))
    assert (ran.code, said in " ".join(ran.err.split())) == (2, True), ran.err


def test_weights_are_named(parts, tmp_path):
    for weights, said in (("1,1", "--layer-weights: expected 4"), ("1,1,1,-1", "--layer-weights: expected layer weig")):
        ran = tinyaug(*distill(parts, tmp_path / "out", "--layer-weights", weights))
        assert (ran.code, said in ran.err) == (2, True), ran.err


def test_heads_do_not_matter_where_no_loss_is_computed(parts, tmp_path):
    shape = json.loads(parts.student.read_text())
    (tmp_path / "eight.json").write_text(json.dumps({**shape, "num_attention_heads": 8}))
    other = ("--train-rows", 20, "--student", tmp_path / "eight.json")
    done(*ahead(parts, tmp_path / "other", *other, "--dry-run"))
    done(*ahead(parts, tmp_path / "other", *other))
    done(*ahead(parts, tmp_path / "cache", "--train-rows", 20))
    assert everything(tmp_path / "cache/full") == everything(tmp_path / "other/full")
