"""`tinyaug run --task sst2 --demo`: what it fills in, what it shows, and that a second time nothing is run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from operator import attrgetter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.intervals import wilson_interval
from distill.latency import Latency, Timed
from pipelines.demo import DATA, DEMO_RECIPE, MLM
from pipelines.demo.verdicts import LONGEST, choose_verdicts
from pipelines.errors import UserError
from pipelines.options.whole_run import RunOptions
from pipelines.tasks.glue import find_task
from tests.pipelines.jobs import REPOSITORY, handed, tinyaug
from tests.ready import start_ready

RUN = ["run", "--task", "sst2", "--demo"]


PLACES = {
    "n": "augment.draw.n",
    **{
        f"{name}_{stage}": f"{place}.{field}"
        for stage, place in (
            ("finetune", "finetune.recipe"),
            ("intermediate", "distill.intermediate"),
            ("prediction", "distill.prediction"),
        )
        for name, field in (("epochs", "epochs"), ("lr", "learning_rate"))
    },
    "student": "distill.student",
    "student_init": "distill.start",
    "out": "augment.output.out",
    "mlm": "augment.models.mlm",
    "data": "distill.data.data",
    "glove": "augment.models.glove",
}


def typed(*words: object) -> dict:
    """What `run --demo` is handed when these words were typed beside it, by the options of `PLACES`."""
    options = handed(RunOptions, "--task", "sst2", "--demo", *words)
    return {name: attrgetter(place)(options) for name, place in PLACES.items()}


def test_demo_fills_in_what_was_not_typed():
    options = typed()
    assert (options["data"], options["mlm"]) == (DATA, str(MLM))
    assert (options["student"], options["student_init"]) == ("half", "teacher-layers")
    assert {name: options[name] for name in DEMO_RECIPE} == DEMO_RECIPE


@pytest.mark.parametrize("name", [*DEMO_RECIPE, "student", "student_init", "out", "mlm", "data", "glove"])
def test_what_was_typed_wins(name):
    word = 0.5 if name.startswith("lr_") else 7
    expected = {**typed(), name: word if isinstance(DEMO_RECIPE.get(name), (int, float)) else str(word)}
    if name == "student_init":
        expected["student"] = ""  # a folder has a shape of its own
    found = typed(f"--{name.replace('_', '-')}", word)
    assert {**found, "data": str(found["data"])} == {**expected, "data": str(expected["data"])}


def test_data_of_the_user_s_own_go_before_the_embedded_in_every_stage(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("pipelines.cli.run_summary.show_run_plan", lambda request: asked.append(request) or 0)
    assert tinyaug(*RUN, "--data", tmp_path / "mine", "--dry-run").code == 0
    [request] = asked
    stages = (request.augment.data, request.finetune.data.data, request.distill.data.data)
    assert stages == (tmp_path / "mine",) * 3
    assert (request.augment.mlm, request.finetune.model) == (str(MLM), str(MLM))
    for verb in ("run", "augment"):
        said = " ".join(tinyaug(verb, "--help").out.replace("│", " ").split())
        assert "--data, --mlm and --glove of your own go before them" in said


def test_another_method_starts_as_it_says(monkeypatch):
    asked = []
    monkeypatch.setattr("pipelines.whole_run.run_job.run_task", lambda request, *_: asked.append(request))
    monkeypatch.setattr("pipelines.cli.run_demo.show_demo", lambda _: 0)
    ran = tinyaug(*RUN, "--method", "bert-pkd")
    assert ran.code == 0, ran.err
    [request] = asked
    assert (request.distill.start, request.distill.student) == ("first-layers", "half")
    assert (request.distill.prediction.epochs, request.distill.prediction.learning_rate) == (4, 2e-4)
    assert "the demo: a teacher, and a student" in ran.err


@pytest.mark.parametrize(
    ("words", "student"),
    [(("--student", "2x96"), "2x96"), (("--target-ms", 5), ""), (("--student-init", "random"), "half")],
)
def test_a_random_start_has_rates_of_its_own(words, student):
    options = typed(*words)
    assert (options["student"], options["student_init"]) == (student, "random")
    assert (options["lr_intermediate"], options["lr_prediction"]) == (None, None)
    assert (options["epochs_prediction"], options["lr_finetune"]) == (1, 2e-4)


def test_a_method_that_pre_trains_does_so_over_the_train_sentences():
    def corpus(*words):
        return handed(RunOptions, "--task", "sst2", "--demo", *words).general

    found = corpus("--method", "bert-small")
    assert (found.corpus.place, found.corpus.column) == (str(DATA / "train.tsv"), "sentence")
    assert (found.recipe.epochs, found.recipe.batch_rows, found.recipe.learning_rate) == (6, 32, 1e-3)
    assert corpus("--method", "bert-small", "--student-init", "folder").corpus.place is None
    assert corpus("--method", "distilbert").corpus.place is None
    mine = corpus("--method", "distilbert", "--corpus", "mine.txt", "--epochs-corpus", 2)
    assert (mine.corpus.place, mine.corpus.column) == ("mine.txt", "text")
    assert (mine.recipe.epochs, mine.recipe.batch_rows) == (2, 32)


def test_a_profile_brings_its_own_epochs():
    options = typed("--profile", "paper")
    assert options["epochs_finetune"] is options["lr_prediction"] is None
    assert options["student"] == "half"


def test_other_tasks_are_refused():
    with pytest.raises(UserError, match="--task sst2"):
        handed(RunOptions, "--task", "rte", "--demo")
    ran = tinyaug("run", "--task", "cola", "--demo")
    assert (ran.code, "expected --task sst2 or squad_v2, whose texts are embedded, found cola" in ran.err) == (2, True)


def test_verdicts_show_right_and_wrong_ones(tmp_path):
    texts = ["a good film", "x" * (LONGEST + 1), "a dull film", "a fine plot", "a sad story", "a slow scene"]
    pq.write_table(pa.table({"sentence": texts}), tmp_path / "dev.parquet")
    positive, negative = np.array([0.0, 2.0]), np.array([2.0, 0.0])
    answers = Timed(
        rows=[5, 4, 3, 2, 1, 0],
        labels=[1.0, 0.0, 1.0, 0.0, 1.0, 1.0],
        logits={
            "teacher": [negative, negative, positive, negative, positive, positive],
            "student": [negative, positive, positive, negative, positive, positive],
        },
        latency=Latency({}, 6, 1),
    )
    found = choose_verdicts(find_task("sst2"), str(tmp_path / "dev.parquet"), answers)
    assert [entry.text for entry in found] == ["a fine plot", "a dull film", "a sad story", "a slow scene"]
    assert asdict(found[2]) == {
        "text": "a sad story",
        "label": "negative",
        "teacher": {"label": "negative", "probability": 0.881},  # 1 / (1 + e^-2)
        "student": {"label": "positive", "probability": 0.881},
    }


@pytest.mark.integration
def test_the_demo_runs_and_a_second_time_tells_the_same(tmp_path):
    small = ["--limit", "30", "--n", "2", "--max-steps", "3", "--engine", "local", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1", "COLUMNS": "120"}
    command = [*RUN, *small, "--device", "cpu"]
    fresh = subprocess.run(
        [sys.executable, "-m", "pipelines", *command],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert fresh.returncode == 0, fresh.stderr
    first, out = fresh.stdout, tmp_path / "runs" / "demo"
    metrics = json.loads((out / "metrics.json").read_text())
    layers = json.loads((MLM / "config.json").read_text())["num_hidden_layers"]
    sizes, dev = metrics["sizes"], metrics["dev"]
    assert [sizes[model]["layers"] for model in ("teacher", "student")] == [layers, layers // 2]
    for model in ("teacher", "student"):
        assert sizes[model]["bytes"] == (out / model / "model.safetensors").stat().st_size
        assert 0 < sizes[model]["without_embeddings"] < sizes[model]["parameters"] == metrics["parameters"][model]
        accuracy = dev[model]["validation"]["accuracy"]
        interval = metrics["intervals"][model]["validation"]["accuracy"]
        assert tuple(interval) == wilson_interval(accuracy, metrics["dev_rows"]["validation"])
        assert f"{accuracy:.1%} [{100 * interval[0]:.1f}-{100 * interval[1]:.1f}]" in first
        assert metrics["latency"]["milliseconds"][model] > 0
    for said in ("30 sentences became 90", "x faster", str(out.relative_to(tmp_path) / "student")):
        assert said in first
    guesses = re.search(r"(near|below)\s+chance", first)  # three steps may teach too little
    assert ("% kept" in first) != (guesses is not None)
    for verdict in metrics["verdicts"]:
        assert verdict["text"] in first

    models = [out / model / "model.safetensors" for model in ("teacher", "student")]
    before = [path.stat().st_mtime_ns for path in models]
    again = start_ready("pipelines", command, environment, tmp_path)
    second, said = again.communicate(300)
    assert again.returncode == 0, said
    assert [path.stat().st_mtime_ns for path in models] == before
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert second.splitlines()[1:] == first.splitlines()
    assert "nothing was run" in second.splitlines()[0]
