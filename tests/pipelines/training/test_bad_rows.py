"""Rows that cannot be read: what can be done is said by every verb, and `run` leaves out what it was told to skip."""

from __future__ import annotations

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipelines.jobs import done, refused, rejected
from tests.pipelines.training.verbs import distill, evaluate, finetune, metrics, run

CUSTOM = ("--task", "custom", "--text", "text", "--label", "y", "--label-names", "0,1")


@pytest.fixture
def data(parts, tmp_path):
    """The second row of train cannot be read."""
    folder = shutil.copytree(parts.data, tmp_path / "SST-2")
    lines = (folder / "train.tsv").read_text().splitlines()
    (folder / "train.tsv").write_text("\n".join([*lines[:2], "a good film\t7", *lines[3:], ""]))
    return folder


@pytest.mark.parametrize("verb", [finetune, distill, evaluate])
def test_no_verb_names_an_option_that_it_lacks(parts, tmp_path, data, verb):
    if verb is evaluate:
        shutil.copy(data / "train.tsv", data / "dev.tsv")
        said = refused(evaluate(parts, parts.teacher, "--data", data))
    else:
        command = verb(parts, tmp_path / "out", "--data", data)
        if "--train" in command:
            place = command.index("--train")
            del command[place : place + 2]
        said = refused(command)
    assert "line 3, column 'label': expected a label" in said
    assert said.endswith("Correct the row, or take it out of the file.")


def test_run_names_the_option_that_it_has(parts, tmp_path, data):
    assert "or pass --on-bad-row skip" in refused(run(parts, tmp_path / "out", "--data", data))


def test_run_leaves_out_what_it_skips_in_every_stage(parts, tmp_path, data):
    skip = ("--data", data, "--on-bad-row", "skip", "--allow-rejects")
    done(*run(parts, tmp_path / "out", *skip, "--max-steps", 1))
    assert len(rejected(tmp_path / "out")) == 1
    assert metrics(tmp_path / "out/teacher")["rows"] == 59
    assert metrics(tmp_path / "out")["augmented"] == {"rows": 59 * 3, "examples": 59}


def test_a_dev_part_is_judged_whole_and_checked_first(parts, tmp_path, data):
    lines = (data / "dev.tsv").read_text().splitlines()
    (data / "dev.tsv").write_text("\n".join([*lines[:4], "a good film\tgood", ""]))
    said = refused(run(parts, tmp_path / "out", "--data", data, "--on-bad-row", "skip", "--allow-rejects"))
    assert "dev.tsv, line 5" in said
    assert not (tmp_path / "out").exists()


def test_the_row_of_a_second_file_is_counted_in_that_file(parts, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name, labels in (("p0", [0, 1] * 75), ("p1", [0, 1] * 25 + [7] + [0] * 99)):
        table = pa.table({"text": ["a good film"] * len(labels), "y": labels})
        pq.write_table(table, folder / f"{name}.parquet")
    said = refused(finetune(parts, tmp_path / "out", *CUSTOM, "--data", folder))
    assert f"{folder / 'p1.parquet'}, row 50, column 'y'" in said


def test_how_files_are_read_is_said_by_augment_and_by_training(inputs, parts, tmp_path):
    path = tmp_path / "train.jsonl"
    rows = [{"text": f"a good film {n}", "y": " yes" if n % 2 else "no", "n": n or "none"} for n in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = ("--task", "custom", "--text", "text", "--label", "y", "--data", path)
    notes = (
        "label column 'y': blanks around labels are left out, such as those of ' yes'",
        "kept as JSON text, for their values are of several types: columns n",
    )
    commands = (
        inputs.augment(tmp_path / "run", *task),
        finetune(parts, tmp_path / "teacher", *task, "--max-steps", 1),
        finetune(parts, tmp_path / "plan", *task, "--dry-run"),
    )
    for command in commands:
        ran = done(*command)
        said = " ".join((ran.out + ran.err).split())
        assert [said.count(note) for note in notes] == [1, 1], command
