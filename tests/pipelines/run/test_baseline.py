"""`run --baseline`: the student beside one taught without augmentation and one fine-tuned on labels alone."""

from __future__ import annotations

import io
import json
import shutil
import tomllib
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from distill.errors import DistillError
from distill.paired import Lead
from pipelines.cli.requests import distill_request
from pipelines.cli.run_request import run_request
from pipelines.cli.run_summary import standings_table
from pipelines.distilling.distill_job import DistillJob
from pipelines.found import Found
from pipelines.options.verbs import DistillOptions
from pipelines.options.whole_run import RunOptions
from pipelines.whole_run.baseline import Standing, baselines
from tests.pipelines.jobs import done, handed, kill, refused, sha256, start, wait_for
from tests.pipelines.training.verbs import distill, evaluate, metrics, run, run_json


def predictions(parts, model, tmp_path):
    """Which dev rows a model has right."""
    path = tmp_path / "dev.parquet"
    done(*evaluate(parts, model, "--predictions", path))
    rows = pq.read_table(path).to_pylist()
    return np.array([row["prediction"] == row["label"] for row in rows])


def test_a_run_with_baselines(parts, tmp_path, monkeypatch):
    out = tmp_path / "run"
    command = run(parts, out, "--baseline")
    planned = done(*command, "--dry-run").out
    assert [name for name in ("unaugmented: prediction", "finetuned: labels") if name in planned]
    assert not out.exists()
    ran = done(*command)
    found = metrics(out)
    assert {name: list(stages) for name, stages in found["baselines"].items()} == {
        "unaugmented": ["intermediate", "prediction"],
        "finetuned": ["labels"],
    }
    assert [stage["rows"] for stages in found["baselines"].values() for stage in stages.values()] == [60] * 3
    originals = pq.read_table(out / "baselines/unaugmented/data/kept.parquet").column("sentence").to_pylist()
    assert originals == pq.read_table(out / "input/rows.parquet").column("sentence").to_pylist()
    models = {
        "teacher": out / "teacher", "student": out / "student",
        **{name: out / "baselines" / name for name in ("unaugmented", "finetuned")},
    }  # fmt: skip
    right = {name: predictions(parts, model, tmp_path) for name, model in models.items()}
    assert [one["model"] for one in found["standings"]] == list(models)
    for one in found["standings"]:
        mine, other = right["student"], right[one["model"]]
        assert one["value"] == pytest.approx(other.mean())
        if one["model"] != "student":
            assert one["lead"]["difference"] == pytest.approx(mine.mean() - other.mean())
            assert one["lead"]["alone"] == [(mine & ~other).sum(), (other & ~mine).sum()]
    assert "without augmentation" in ran.out
    assert "fine-tuned on labels" in ran.out
    assert run_json(out / "baselines/finetuned")["settings"]["method"] == "finetune"
    assert done("status", out).out.count("trained") == 4
    monkeypatch.setattr("distill.training.train", lambda *_: pytest.fail("something was trained"))
    monkeypatch.setattr("pipelines.whole_run.metrics.find_standings", lambda *_: pytest.fail("something was judged"))
    again = done(*command)
    assert "everything was done already" in again.out
    assert again.out.count("fine-tuned on labels") == 1


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        (("--student", "2x16"), 1e-3),
        (("--student", "2x16", "--lr-finetune", "3e-4"), 3e-4),
        (("--student", "half"), 2e-4),
        (("--student", "half", "--lr-finetune", "3e-4"), 3e-4),
    ],
)
def test_a_typed_rate_goes_before_that_of_a_random_start(words, rate):
    options = handed(RunOptions, "--task", "sst2", "--demo", "--baseline", "--device", "cpu", *words)
    assert baselines(run_request(options))["finetuned"].prediction.learning_rate == rate


def test_baselines_are_added_to_a_finished_run(parts, tmp_path):
    out = tmp_path / "run"
    done(*run(parts, out, "--max-steps", 2))
    before = (out / "student/model.safetensors").read_bytes()
    assert "standings" not in metrics(out)
    done(*run(parts, out, "--max-steps", 2, "--baseline"))
    found = metrics(out)
    assert len(found["standings"]) == 4
    done(*run(parts, out, "--max-steps", 2))  # what is known stays
    assert metrics(out) == found
    assert tomllib.loads((out / "config.toml").read_text())["baseline"] is True
    assert (out / "student/model.safetensors").read_bytes() == before


def test_a_damaged_shard_behind_the_originals_alone_is_named(parts, tmp_path):
    train = shutil.copytree(parts.train, tmp_path / "augmented")
    shard = sorted((train / "data").iterdir())[0]
    group = pq.read_metadata(shard).row_group(0)
    column = next(one for one in map(group.column, range(group.num_columns)) if one.path_in_schema == "variant")
    damaged = bytearray(shard.read_bytes())
    damaged[column.data_page_offset : column.data_page_offset + 8] = b"\xff" * 8
    shard.write_bytes(damaged)
    options = handed(DistillOptions, *distill(parts, tmp_path / "s", "--train", train)[1:])
    job = DistillJob(replace(distill_request(options), originals=True), Found())
    with pytest.raises(DistillError, match="It was cut off or damaged: make it again"):
        job.check()


@pytest.mark.parametrize("alone", [(51, 163), (1234, 12345)])
def test_no_number_of_the_table_is_cut_at_80_columns(alone):
    lead, out = Lead(-0.224, (-0.274, -0.174), 2.3e-114, alone), io.StringIO()
    console = Console(file=out, width=80)
    for part in ("validation", "validation_mismatched"):
        console.print(standings_table([Standing(part, "accuracy", "unaugmented", 0.724, (0.685, 0.759), lead)]))
    for number in ("72.4% [68.5-75.9]", "-22.4 [-27.4, -17.4]", "2.3e-114", f"({alone[0]:,}:{alone[1]:,})"):
        assert out.getvalue().count(number) == 2


@pytest.mark.integration
def test_a_killed_baseline_goes_on(parts, tmp_path):
    out = tmp_path / "run"
    command = run(parts, out, "--teacher", parts.teacher, "--max-steps", 30, "--checkpoint-every", 1, "--baseline")
    process = start(*command)
    wait_for(lambda: list((out / "baselines/unaugmented").glob("*/step-*")), process)
    kill(process)
    student = sha256(out / "student/model.safetensors")
    done(*command)
    assert sha256(out / "student/model.safetensors") == student
    assert list(metrics(out)["baselines"]) == ["unaugmented", "finetuned"]


def test_a_method_of_original_rows_is_compared_with_fine_tuning(parts, tmp_path):
    shape = json.loads((parts.encoder / "config.json").read_text()) | {"num_hidden_layers": 2, "architectures": None}
    student = tmp_path / "student.json"
    student.write_text(json.dumps(shape))
    out = tmp_path / "run"
    shaped = ("--student", student, "--student-init", "first-layers")
    command = run(parts, out, "--method", "bert-pkd", *shaped, "--max-steps", 2, "--baseline")
    for option in ("--epochs-intermediate", "--n", "--engine", "--workers", "--mlm", "--glove"):
        place = command.index(option)
        del command[place : place + 2]
    done(*command)
    assert list(metrics(out)["baselines"]) == ["finetuned"]


def test_what_cannot_be_compared(parts, tmp_path):
    command = run(parts, tmp_path / "run", "--baseline")
    (parts.data / "dev.tsv").rename(tmp_path / "dev.tsv")
    try:
        assert "--baseline: expected a labelled dev part" in refused(command)
    finally:
        (tmp_path / "dev.tsv").rename(parts.data / "dev.tsv")
    assert not (tmp_path / "run").exists()
