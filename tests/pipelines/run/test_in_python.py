"""`pipelines.run`: the options of the command as keywords, tables in memory, errors in place of exit codes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict

import pipelines
from augment import AugmentError
from augment.tables import as_table
from pipelines.options.config_file import config_text
from pipelines.options.made import from_keywords
from pipelines.options.whole_run import RunOptions
from tests.pipelines.jobs import done, handed, refused, sentences
from tests.pipelines.training.verbs import metrics, run_json

TINY = {
    "task": "custom", "text": "text", "label": "queue", "student": "half", "student_init": "teacher-layers", "n": 2,
    "glove": "none", "engine": "local", "workers": 1, "max_length": 32, "device": "cpu", "epochs_intermediate": 1,
    "epochs_prediction": 1, "protect": ["film", "plot"],
}  # fmt: skip


def table(rows: int, seed: int) -> dict[str, list[str]]:
    return {"text": list(sentences(rows, seed)), "queue": ["good" if row % 3 else "bad" for row in range(rows)]}


def test_a_call_does_what_the_command_does(parts, tmp_path, monkeypatch):
    data = {"train": table(40, 0), "validation": pd.DataFrame(table(20, 1)).iloc[::-1]}
    given = {**TINY, "mlm": parts.mlm, "teacher_model": parts.encoder, "epochs_finetune": 1, "out": tmp_path / "run"}
    found = pipelines.run(data=data, **given)
    assert found.folder == tmp_path / "run"
    assert (found.student, found.augmented) == (tmp_path / "run/student", tmp_path / "run/augmented")
    assert found.teacher == str(tmp_path / "run/teacher")
    assert found.metrics["dev"] == metrics(found.folder)["dev"]
    assert found.metrics["augmented"] == {"rows": 120, "examples": 40}
    assert (found.student / "model.safetensors").exists()
    assert run_json(found.student)["command"][0] == "python"
    assert "give a file of them as data" in (found.folder / "config.toml").read_text().splitlines()[0]
    assert "the run's rows were in memory; add --data" in refused(["evaluate", "--run", str(found.folder)])

    monkeypatch.setattr("distill.training.train", lambda *_: pytest.fail("something was trained"))
    assert pipelines.run(data=data, **given).metrics["dev"] == found.metrics["dev"]
    (tmp_path / "data").mkdir()
    for part, rows in data.items():
        pq.write_table(as_table(rows), tmp_path / "data" / f"{part}.parquet")
    protect = [word for entry in given.pop("protect") for word in ("--protect", entry)]
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    ran = done("run", "--data", tmp_path / "data", *protect, *words)
    assert "everything was done already" in ran.out


@pytest.mark.parametrize(
    ("given", "typed"),
    [
        ({"data": Path("x.csv"), "text": ["a", "b"], "label": "c", "label_names": ["no", "yes"]}, None),
        ({"data": "x.csv", "text": "a", "epochs_finetune": 1, "limit": 5, "unique": True, "profile": "quick"}, None),
        ({"batch_tokens": 512, "cache_budget": "1GB", "losses": "attention"}, None),
        ({"demo": True, "n": 5}, "--demo --n 5"),
        ({"demo": True, "p": "0.3", "seed": "7", "protect": [Path("film")]}, "--demo --p 0.3 --seed 7 --protect film"),
        ({"demo": True, "p": np.float64(0.25), "seed": np.int64(7)}, "--demo --p 0.25 --seed 7"),
        ({"unique": False, "on_bad_row": "skip"}, "--keep-duplicates --on-bad-row skip"),
    ],
)
def test_keywords_are_read_as_if_they_were_typed(given, typed):
    words = []
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        if name == "label_names":
            words += [flag, ",".join(value)]
        elif value is True:
            words += [flag]
        else:
            words += [word for one in (value if isinstance(value, list) else [value]) for word in (flag, one)]
    words = typed.split() if typed else words
    task = "sst2" if "text" not in given else "custom"
    expected = handed(RunOptions, "--task", task, *words)
    found = from_keywords(RunOptions, task=task, **given)
    assert found == expected
    assert found.typed.keys() == expected.typed.keys()
    assert tomllib.loads(config_text(found.typed)).keys() <= {name.removeprefix("--") for name in expected.typed}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tesk": "sst2"}, "expected options of the command, .*found tesk"),
        ({}, "expected a value for task, found none"),
        ({"task": "sst2", "limit": "few"}, "limit: expected int, found 'few'"),
        ({"task": "sst2", "n": True}, "n: expected int, found True"),
        ({"task": "sst2", "p": "half"}, "p: expected float, found 'half'"),
        ({"task": "sst2", "demo": 1}, "demo: expected bool, found 1"),
        ({"task": "sst2", "limit": 0}, "--limit: expected a number of at least 1"),
        ({"task": "sst2", "profile": "slow"}, "--profile: expected one of"),
        ({"task": "sst2", "dry_run": True}, "dry_run: expected it of the command"),
        ({"task": "sst2", "text": "body"}, "expected --task custom"),
        ({"task": "custom", "data": {"train": table(2, 0), "eval": pd.DataFrame(table(2, 1))}}, "found one of eval"),
    ],
)
def test_mistakes_raise_a_users_error(given, message, tmp_path):
    with pytest.raises(pipelines.UserError, match=message):
        pipelines.run(out=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("data", "message"), [({"text": ["a"], "queue": []}, "of one length"), (3, "found int")])
def test_what_is_no_data(data, message, tmp_path):
    with pytest.raises(AugmentError, match=f"^data: expected a table.*{message}"):
        pipelines.run(**{**TINY, "data": data, "out": tmp_path / "out"})


def test_data_sets_keep_the_names_of_their_classes(tmp_path):
    from pipelines.whole_run.in_python import _on_disk

    rows = Dataset.from_dict({"text": ["a", "b"], "queue": [1, 0]}).cast_column(
        "queue", ClassLabel(names=["bad", "good"])
    )
    with _on_disk(DatasetDict(train=rows, test=rows)) as folder:
        assert sorted(path.name for path in Path(folder).iterdir()) == ["test.parquet", "train.parquet"]
        assert Dataset.from_parquet(f"{folder}/test.parquet", cache_dir=str(tmp_path)).features == rows.features
    assert not Path(folder).exists()
