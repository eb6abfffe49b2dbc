"""Results that guessing reaches as well: who is warned, and what a summary leaves out."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipelines.cli.run_summary import comparison_table
from pipelines.evaluating.dev_scores import chance
from pipelines.run.metrics import _kept
from pipelines.run_folder.storage import Storage
from pipelines.tasks.glue import find_task
from pipelines.training.parts import TaskData
from tests.pipelines.jobs import done
from tests.pipelines.training.verbs import distill, finetune, metrics, run

PART = "validation"


def guess(tmp_path, task: str, labels: list[float], **found: float) -> str | None:
    """What is said of a result on a dev part with these labels."""
    (tmp_path / "data").mkdir()
    column = pa.array(labels, pa.float32() if task == "stsb" else pa.int64())
    pq.write_table(pa.table({"label": column}), tmp_path / f"data/{PART}.parquet")
    return chance(found, Storage(str(tmp_path)), TaskData(find_task(task), None), PART)


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [(0.5, "always positive: 0.5200"), (0.6, "always positive: 0.5200"), (0.7, None)],
)
def test_accuracy_against_the_most_frequent_label(tmp_path, accuracy, said):
    assert guess(tmp_path, "sst2", [1] * 52 + [0] * 48, accuracy=accuracy) == said


@pytest.mark.parametrize(("matthews", "said"), [(0.0, "guessing: 0"), (0.15, "guessing: 0"), (0.3, None)])
def test_matthews_correlation_where_the_task_has_it(tmp_path, matthews, said):
    """CoLA's accuracy says little: seven of ten sentences are acceptable."""
    assert guess(tmp_path, "cola", [1] * 70 + [0] * 30, matthews=matthews, accuracy=0.7) == said


@pytest.mark.parametrize(("spearman", "said"), [(-0.3, "guessing: 0"), (0.1, "guessing: 0"), (0.4, None)])
def test_correlation_of_scores(tmp_path, spearman, said):
    assert guess(tmp_path, "stsb", [float(row % 5) for row in range(100)], spearman=spearman, pearson=-1.0) == said


def test_a_teacher_of_our_own_is_judged_when_it_is_done(parts, tmp_path, monkeypatch):
    command = finetune(parts, tmp_path / "t", "--max-steps", 1, "--lr", 1e-9)
    monkeypatch.setattr("distill.metrics._agreement", lambda *_: 0.6)  # of 30: 42.3 to 75.4
    ran = done(*command)
    assert "accuracy 0.6000 on validation is near chance (always negative: 0.5000); try" in ran.err
    monkeypatch.setattr("distill.metrics._agreement", lambda *_: 0.9)
    assert "near chance" not in done(*command, "--overwrite").err


def test_a_teacher_is_judged_by_the_interval(parts, tmp_path, monkeypatch):
    monkeypatch.setattr("distill.metrics._agreement", lambda *_: 0.6)
    ran = done(*distill(parts, tmp_path / "s", "--max-steps", 1))
    assert f"teacher {parts.teacher}: accuracy 0.6000 on validation is near chance (always negative" in ran.err


@pytest.mark.parametrize(("accuracy", "near"), [(0.6, True), (0.9, False)])
def test_a_student_is_judged_when_it_is_done(parts, tmp_path, monkeypatch, accuracy, near):
    monkeypatch.setattr("distill.metrics._agreement", lambda *_: accuracy)
    said = "student: accuracy 0.6000 on validation is near chance (always negative: 0.5000); try more epochs"
    assert (said in " ".join(done(*distill(parts, tmp_path / "s", "--max-steps", 1)).err.split())) == near


def test_a_head_that_learnt_nothing_is_not_judged(parts, tmp_path):
    out = tmp_path / "s"
    ran = done(*distill(parts, out, "--max-steps", 1, "--epochs-prediction", 0))
    found = metrics(out)
    assert (found["dev"], found["selected_by"]) == ({}, None)
    assert PART in found["teacher_dev"]
    assert "student: " not in ran.err
    [row] = [line for line in ran.out.splitlines() if line.strip().startswith("student")]
    assert row.split() == ["student"]
    for card in (out / "README.md", out / "intermediate/student/README.md"):
        assert "its head has learnt nothing yet" in card.read_text()
        assert "| | not judged | |" in card.read_text()


def test_a_run_without_the_last_stage_shows_its_teacher(parts, tmp_path):
    ran = done(*run(parts, tmp_path / "run", "--max-steps", 1, "--epochs-prediction", 0))
    found = metrics(tmp_path / "run")
    assert found["dev"]["student"] == {}
    assert found["dev_rows"] == {PART: 30}
    assert f"{PART} accuracy" in ran.out
    assert f"{found['dev']['teacher'][PART]['accuracy']:.1%} [" in ran.out


@pytest.mark.parametrize(("accuracy", "near"), [(0.6, ["validation"]), (0.9, [])])
def test_a_share_of_chance_is_no_share(parts, tmp_path, monkeypatch, accuracy, near):
    monkeypatch.setattr("distill.metrics._agreement", lambda *_: accuracy)
    ran = done(*run(parts, tmp_path / "run", "--max-steps", 1))
    found = metrics(tmp_path / "run")
    assert found["near_chance"] == {"teacher": near, "student": near}
    assert found["kept"] == ({} if near else {PART: {"accuracy": 1.0}})
    assert ("100.0% kept" in ran.out) == (not near)
    assert ("teacher and student near chance" in ran.out) == bool(near)


def test_parts_are_judged_one_by_one():
    scores = {model: {"a": {"accuracy": value}, "b": {"accuracy": value}} for model, value in
              (("teacher", 0.9), ("student", 0.45))}  # fmt: skip
    assert _kept(scores, {"a"}) == {"b": {"accuracy": 0.5}}


@pytest.mark.parametrize(
    ("teacher", "student", "said"),
    [([PART], [], "teacher near chance"), ([], [PART], "student near chance"), ([], [], "55.6% kept")],
)
def test_the_table_says_who_is_near_chance(teacher, student, said):
    sizes = {"layers": 2, "parameters": 10, "without_embeddings": 5, "bytes": 40}
    told = {
        "dev": {"teacher": {PART: {"f1": 0.9}}, "student": {PART: {"f1": 0.5}}},
        "intervals": {"teacher": {}, "student": {}},
        "near_chance": {"teacher": teacher, "student": student},
        "kept": {} if teacher or student else {PART: {"f1": 0.5 / 0.9}},
        "sizes": {"teacher": sizes, "student": sizes},
        "latency": {"milliseconds": {"teacher": 2.0, "student": 1.0}},
    }
    out = io.StringIO()
    Console(file=out, width=100).print(comparison_table(told))
    assert said in out.getvalue()
    assert ("kept" in out.getvalue()) == (not teacher and not student)
