"""Students by what one wants: layers and width, a start and rates that suit them, a trimmed vocabulary."""

from __future__ import annotations

import json
from statistics import median

import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from distill.metrics import AGREEMENTS, Metric
from pipelines.cli.requests import distill_request
from pipelines.options.verbs import DistillOptions
from tests.pipelines.jobs import done, handed, refused
from tests.pipelines.training.verbs import distill, evaluate, metrics, run, run_json

PAPER, RANDOM = (5e-5, 3e-5), (1e-3, 1e-3)


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
        (("--student", "2x144", "--lr-prediction", "1e-4"), "random", (1e-3, 1e-4)),
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
    assert (request.start, request.prediction.learning_rate) == ("random", 1e-3)


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


def test_a_trimmed_student_near_chance_is_warned_of_once(parts, tmp_path, monkeypatch):
    monkeypatch.setitem(AGREEMENTS, Metric.ACCURACY, lambda *_: 0.6)
    ran = done(*_sized(parts, tmp_path / "s", "--max-steps", 1, "--trim-vocabulary", 0))
    assert ran.err.count("student: accuracy 0.6000") == 1


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
        (("--student", "2x0"), "--student 2x0: expected a student LxW of 1 or more layers and a width from 1"),
        (("--student", "x96"), "--student x96: expected a student LxW of 1 or more layers"),
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


@pytest.fixture
def clock(parts, monkeypatch):
    """A millisecond for each layer and 8 numbers of width, in place of measured times; the shapes that were timed."""
    timed = []
    tokenizer = AutoTokenizer.from_pretrained(parts.teacher)
    texts = [line.split("\t")[0] for line in (parts.data / "train.tsv").read_text().splitlines()[1:]]
    tokens = median(len(tokenizer(text).input_ids) for text in texts)

    def time_text(model, length):
        assert length == tokens
        timed.append((model.config.num_hidden_layers, model.config.hidden_size))
        return model.config.num_hidden_layers * model.config.hidden_size / 8

    monkeypatch.setattr("distill.latency.time_text", time_text)
    return timed


def _targeted(parts, out, *more: object) -> list[str]:
    """The command with neither a shape nor a start, unless they are given."""
    command = _sized(parts, out)
    place = command.index("--student")
    return [*command[:place], *command[place + 2 :], *map(str, more)]


def test_the_largest_student_that_meets_its_targets(parts, tmp_path, clock):
    out = tmp_path / "out"
    said = done(*_targeted(parts, out, "--target-ms", 4, "--max-steps", 1)).err
    # widths of 4, 8, 12, 16 and 24 in one or two layers: 1x24 has more parameters than 2x16, but one layer
    assert "taken: --student 2x16" in said
    assert {(1, 24), (2, 24)} <= {*clock}  # larger ones were tried
    told = run_json(out)
    assert (told["sources"]["student"], told["settings"]["size"]) == ("2x16", {"ms": 4.0})
    assert json.loads((out / "config.json").read_text())["hidden_size"] == 16
    assert "the largest measured within 4 ms" in (out / "README.md").read_text()
    timed = len(clock)
    (out / "metrics.json").unlink()
    done(*_targeted(parts, out, "--target-ms", 4, "--max-steps", 1))
    assert len(clock) == timed
    assert "--target-ms: 4.0 there, 5.0 now" in refused(_targeted(parts, out, "--target-ms", 5, "--max-steps", 1))


def test_a_target_of_megabytes_counts_the_weights(parts, tmp_path, clock):
    out = tmp_path / "out"
    done(*_targeted(parts, out, "--target-mb", 0.03, "--target-ms", 100, "--max-steps", 1))
    layers, width = map(int, run_json(out)["sources"]["student"].split("x"))
    weights = (out / "model.safetensors").stat().st_size
    assert 0.02e6 < weights < 0.032e6  # with some KB of names
    assert max(clock) == (layers, width)  # what has more megabytes is not timed


def test_a_run_measures_once(parts, tmp_path, clock):
    out, sized = tmp_path / "out", ("--target-ms", 2.5, "--max-steps", 1)
    command = run(parts, out, "--teacher", parts.teacher, *sized, "--baseline")
    for option in ("--student", "--student-init"):
        del command[command.index(option) : command.index(option) + 2]
    assert done(*command).err.count("taken: --student 2x8") == 1
    assert len(clock) == len({*clock})
    made = [out / "student", *(out / "baselines").iterdir()]
    assert [run_json(folder)["sources"]["student"] for folder in made] == ["2x8"] * 3


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--target-ms", "0.1"), "--target-ms 0.1: expected at least 0.5 ms, as the smallest student"),
        (("--target-mb", "0.001"), "--target-mb 0.001: expected at least 0.00"),
        (("--target-ms", "0"), "--target-ms: expected a number above 0, found 0"),
        (("--target-ms", "5", "--student", "2x16"), "--target-ms: expected no --student beside it"),
        (("--target-ms", "5", "--student-init", "teacher-layers"), "expected --student-init random beside it"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_targets_that_are_refused(parts, tmp_path, clock, more, said):
    assert said in " ".join(refused(_targeted(parts, tmp_path / "out", *more)).split())
    assert not (tmp_path / "out").exists()
