"""--config: one file for several verbs; what is typed wins; keys and values are checked as options are."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import typer

from pipelines.cli.app import app
from pipelines.options.config_file import config_text
from pipelines.options.data import class_names
from tests.pipelines.jobs import refused

NAMES = ["Billing, invoices", "other"]
ONE_FILE = """
task = "custom"
text = "body"
label-names = ["Billing, invoices", "other"]
seed = 7
n = 4
[augment]
seed = 8
unique = true
[distill]
epochs-prediction = 2
"""


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "tickets.toml"
    path.write_text(ONE_FILE)
    return path


def read(verb: str, *words: object) -> dict[str, object]:
    """What a verb's parameters are."""
    group = typer.main.get_command(app)
    context = group.make_context("tinyaug", [verb, *map(str, words)])
    return group.commands[verb].make_context(verb, [*map(str, words)], parent=context).params


def test_each_verb_takes_what_it_has(file):
    augment = read("augment", "--config", file)
    assert [augment[name] for name in ("task", "text", "n", "seed", "unique")] == ["custom", ["body"], "4", 8, True]
    distill = read("distill", "--config", file, "--teacher", "t", "--out", "o")
    assert (distill["seed"], distill["epochs_prediction"], distill["label_names"]) == (7, 2, NAMES)
    assert "n" not in distill


def test_what_is_typed_wins(file):
    augment = read("augment", "--seed", 9, "--config", file, "--text", "subject", "--keep-duplicates")
    assert (augment["seed"], augment["text"], augment["unique"], augment["n"]) == (9, ["subject"], False, "4")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("label-nmaes = 3", "expected an option without its dashes, found label-nmaes; the nearest is label-names"),
        ("learning_rate = 1", "found learning_rate; the nearest is "),
        ("[agument]", "expected the name of a verb in brackets, found agument; the nearest is augment"),
        ("[augment]\nlr = 1", "expected an option of `tinyaug augment` in [augment], found lr; the nearest is "),
        ("n = 2.5", "tickets.toml: --n: "),
        ("limit = 0", "--limit: expected a number of at least 1, found 0"),
        ('engine = "slurm"', "--engine: expected one of auto, ray, local, found 'slurm'"),
        ("n = {a = 1}", "expected the name of a verb in brackets, found n"),
        ("n = ", "expected a TOML file, such as a line n = 4, found: Invalid value"),
    ],
)
def test_refused(tmp_path, line, said):
    path = tmp_path / "tickets.toml"
    path.write_text(line)
    answer = refused(["augment", "--config", str(path), "--demo", "--task", "sst2"])
    assert said in answer
    assert "tickets.toml" in answer
    assert "expected a TOML file" in refused(["augment", "--config", str(tmp_path / "other.toml")])


def test_what_a_run_writes_is_read_again(tmp_path):
    typed = {
        "--task": "custom", "--data": Path("a b/ü\"\\.csv"), "--text": ["subject", "body"], "--n": 2, "--p": 0.25,
        "--unique": True, "--overwrite": True, "--out": "s3://key:secret@bucket/run", "--label-names": NAMES,
    }  # fmt: skip
    path = tmp_path / "config.toml"
    path.write_text(config_text(typed), encoding="utf-8")
    assert tomllib.loads(path.read_text(encoding="utf-8")).keys() == {name[2:] for name in typed} - {"overwrite"}
    assert "secret" not in path.read_text()
    found = read("run", "--config", path)
    assert found["data"] == typed["--data"]
    assert [found[name] for name in ("text", "n", "p")] == [["subject", "body"], "2", 0.25]
    assert (found["unique"], found["overwrite"], found["label_names"]) == (True, False, NAMES)


def test_what_a_run_judges_is_read_from_its_folder(tmp_path):
    label = {"column": "queue", "kind": "class", "names": NAMES}
    task = {"name": "custom", "text_columns": ["subject", "body"], "label": label, "dev_split": 0.2}
    content = {"kind": "finetune", "task": task, "sources": {"data": "/nowhere/a.csv", "data_revision": None}}
    (tmp_path / "run.json").write_text(json.dumps(content))
    found = read("evaluate", "--run", tmp_path)
    given = [found[name] for name in ("task", "text", "label", "label_names", "dev_split", "model")]
    assert given == ["custom", ["subject", "body"], "queue", NAMES, 0.2, str(tmp_path)]
    assert found["data"] == Path("/nowhere/a.csv")
    other = read("evaluate", "--run", tmp_path, "--data", "new.csv")
    assert (other["data"], other["dev_split"], other["label"]) == (Path("new.csv"), None, "queue")
    assert read("evaluate", "--run", tmp_path, "--data", "new.csv", "--dev-split", 0.5)["dev_split"] == 0.5


def test_names_of_classes_by_commas_or_one_each():
    assert class_names(["a, b"]) == ("a", "b")
    assert class_names(NAMES) == tuple(NAMES)
