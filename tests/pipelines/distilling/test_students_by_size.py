"""Students by what one wants: layers and width, a start and rates that suit them, a trimmed vocabulary."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pipelines.cli.requests import distill_request
from pipelines.options.verbs import DistillOptions
from tests.pipelines.jobs import done, handed, refused
from tests.pipelines.training.verbs import distill, evaluate, metrics, run, run_json

PAPER, RANDOM = (5e-5, 3e-5), (3e-4, 3e-4)


def typed(*words: object) -> DistillOptions:
    """The options of `distill` behind some words."""
    options = handed(DistillOptions, "--task", "sst2", "--teacher", "t", "--out", "o", "--device", "cpu", *words)
    assert isinstance(options, DistillOptions)
    return options


@pytest.mark.parametrize(
    ("words", "start", "rates"),
    [
        ((), "general", PAPER),
        (("--student", "half"), "teacher-layers", PAPER),
        (("--student", "layers:2"), "teacher-layers", PAPER),
        (("--student", "2x144"), "random", RANDOM),
        (("--student", "2x144", "--lr-prediction", "1e-4"), "random", (3e-4, 1e-4)),
        (("--student", "tinybert4", "--student-init", "random"), "random", RANDOM),
        (("--student", "half", "--student-init", "general"), "general", PAPER),
        (("--student", "2x144", "--student-init", "mine"), "mine", PAPER),
    ],
)
def test_a_shape_has_a_start_and_rates_that_suit_it(words, start, rates):
    request = distill_request(typed(*words))
    assert (request.start, request.intermediate.learning_rate, request.prediction.learning_rate) == (start, *rates)


@pytest.mark.parametrize(("method", "start"), [("distilbert", "teacher-layers"), ("bert-pkd", "first-layers")])
def test_other_methods_start_as_they_do(method, start):
    assert distill_request(typed("--method", method)).start == start
    request = distill_request(typed("--method", method, "--student", "2x144"))
    assert (request.start, request.prediction.learning_rate) == ("random", 3e-4)


@pytest.fixture(scope="module")
def trimmed(parts, tmp_path_factory):
    """A finished student of a width of its own with the least vocabulary; look, don't touch."""
    out = tmp_path_factory.mktemp("trimmed") / "student"
    ran = done(*_sized(parts, out, "--trim-vocabulary", 0))
    return out, ran.out


def _sized(parts, out, *more: object) -> list[str]:
    command = distill(parts, out, "--student", "2x24", *more)
    place = command.index("--student-init")
    return command[:place] + command[place + 2 :]


def test_a_trimmed_student(parts, trimmed):
    out, said = trimmed
    told, config = metrics(out), json.loads((out / "config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"], config["num_attention_heads"]) == (2, 24, 4)
    assert config["intermediate_size"] == 48  # twice the width, as the teacher's
    tokenizer, teacher = (AutoTokenizer.from_pretrained(folder) for folder in (out, parts.teacher))
    texts = [text for path in parts.train.glob("data/*") for text in pq.read_table(path)["sentence"].to_pylist()]
    assert [tokenizer.tokenize(text) for text in texts] == [teacher.tokenize(text) for text in texts]
    was, now = told["trimmed"]["pieces"]
    assert now == len(tokenizer) == config["vocab_size"] < was == len(teacher)
    model = AutoModelForSequenceClassification.from_pretrained(out)
    whole, fewer = told["trimmed"]["parameters"]
    assert whole - fewer == 24 * (was - now)
    assert fewer == model.num_parameters() == told["parameters"]["student"]
    assert f"{now} of {was} pieces are left" in said
    assert run_json(out)["settings"]["size"] == {"share": 0.0}
    assert f"{now} of {was} pieces are left" in (out / "README.md").read_text()


def test_a_trimmed_student_is_judged_by_its_own_tokenizer(parts, trimmed, tmp_path):
    done(*evaluate(parts, trimmed[0], "--json", tmp_path / "found.json"))
    assert json.loads((tmp_path / "found.json").read_text())["dev"] == metrics(trimmed[0])["dev"]


def test_another_share_is_another_student(parts, trimmed):
    said = " ".join(refused(_sized(parts, trimmed[0], "--trim-vocabulary", 0.5)).split())
    assert "--trim-vocabulary: 0.0 there, 0.5 now" in said


def test_a_run_with_a_student_of_a_size(parts, tmp_path):
    ran = done(*run(parts, tmp_path / "out", "--teacher", parts.teacher, "--student", "2x16", "--trim-vocabulary", 1))
    assert "pieces are left" in ran.out
    told = metrics(tmp_path / "out")
    assert told["sizes"]["student"]["parameters"] == told["trimmed"]["parameters"][1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--student", "2x0"), "expected a student tinybert4, tinybert6, half, layers:N, LxW"),
        (("--student", "9x24"), "expected a student of 1 to 4 layers"),
        (("--student", "2x25"), "expected 4 attention heads in the student as the teacher has, found 5"),
        (("--student", "2x24", "--student-init", "teacher-layers"), "expected the teacher's hidden_size (32)"),
        (("--student", "2x24", "--student-init", "general"), "published only for tinybert4"),
        (("--trim-vocabulary", "1.5"), "--trim-vocabulary: expected a number from 0 to 1"),
        (("--trim-vocabulary", "-1"), "--trim-vocabulary: expected a number from 0 to 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_refused(parts, tmp_path, more, said):
    assert said in " ".join(refused(distill(parts, tmp_path / "out", *more)).split())
    assert not (tmp_path / "out").exists()
