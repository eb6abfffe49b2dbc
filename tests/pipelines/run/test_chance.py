"""Results that guessing reaches as well: who is warned, and what a summary leaves out."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from distill.comparison import Comparison, compare_models
from distill.guessing import find_guess
from distill.latency import Latency
from distill.metrics import AGREEMENTS, Metric
from pipelines.cli.run_summary import comparison_table
from pipelines.tasks.glue import find_task
from pipelines.whole_run.metrics import Measured
from tests.pipelines.jobs import done
from tests.pipelines.training.verbs import distill, finetune, metrics, run

PART = "validation"


def guess(task: str, labels: list[float], **found: float) -> str | None:
    """What is said of a result on a dev part with these labels."""
    said = find_guess(found, np.array(labels), find_task(task).label.names)
    return None if said is None else str(said)


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        (0.4, "below chance (always positive: 0.5200)"),
        (0.5, "near chance (always positive: 0.5200)"),
        (0.6, "near chance (always positive: 0.5200)"),
        (0.7, None),
    ],
)
def test_accuracy_against_the_most_frequent_label(accuracy, said):
    assert guess("sst2", [1] * 52 + [0] * 48, accuracy=accuracy) == said


@pytest.mark.parametrize(
    ("matthews", "said"), [(0.0, "near chance (guessing: 0)"), (0.15, "near chance (guessing: 0)"), (0.3, None)]
)
def test_matthews_correlation_where_the_task_has_it(matthews, said):
    """CoLA's accuracy says little: seven of ten sentences are acceptable."""
    assert guess("cola", [1] * 70 + [0] * 30, matthews=matthews, accuracy=0.7) == said


@pytest.mark.parametrize(
    ("spearman", "said"), [(-0.3, "below chance (guessing: 0)"), (0.1, "near chance (guessing: 0)"), (0.4, None)]
)
def test_correlation_of_scores(spearman, said):
    assert guess("stsb", [float(row % 5) for row in range(100)], spearman=spearman, pearson=-1.0) == said


def test_a_teacher_of_our_own_is_judged_when_it_is_done(parts, tmp_path, monkeypatch):
    command = finetune(parts, tmp_path / "t", "--max-steps", 1, "--lr", 1e-9)
    monkeypatch.setitem(AGREEMENTS, Metric.ACCURACY, lambda *_: 0.6)  # of 30: 42.3 to 75.4
    ran = done(*command)
    assert "accuracy 0.6000 on validation is near chance (always negative: 0.5000); try" in ran.err
    monkeypatch.setitem(AGREEMENTS, Metric.ACCURACY, lambda *_: 0.9)
    assert "near chance" not in done(*command, "--overwrite").err


def test_a_teacher_is_judged_by_the_interval(parts, tmp_path, monkeypatch):
    monkeypatch.setitem(AGREEMENTS, Metric.ACCURACY, lambda *_: 0.6)
    ran = done(*distill(parts, tmp_path / "s", "--max-steps", 1))
    assert f"teacher {parts.teacher}: accuracy 0.6000 on validation is near chance (always negative" in ran.err


@pytest.mark.parametrize(("accuracy", "near"), [(0.6, True), (0.9, False)])
def test_a_student_is_judged_when_it_is_done(parts, tmp_path, monkeypatch, accuracy, near):
    monkeypatch.setitem(AGREEMENTS, Metric.ACCURACY, lambda *_: accuracy)
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
    monkeypatch.setitem(AGREEMENTS, Metric.ACCURACY, lambda *_: accuracy)
    ran = done(*run(parts, tmp_path / "run", "--max-steps", 1))
    found = metrics(tmp_path / "run")
    assert found["near_chance"] == {"teacher": near, "student": near}
    assert found["kept"] == ({} if near else {PART: {"accuracy": 1.0}})
    assert ("100.0% kept" in ran.out) == (not near)
    assert ("teacher and student near chance" in ran.out) == bool(near)


def test_parts_are_judged_one_by_one():
    teacher, student = ({"a": {"accuracy": value}, "b": {"accuracy": value}} for value in (0.9, 0.72))
    labels = {"a": np.array([0] * 30 + [1] * 70), "b": np.array([0, 1] * 50)}
    found = compare_models(teacher, student, labels, ("no", "yes"))
    assert found.kept == {"b": {"accuracy": pytest.approx(0.8)}}
    assert (found.near_chance, found.below_chance) == ({"teacher": [], "student": ["a"]}, None)
    swapped = compare_models(teacher, {"a": {"accuracy": 0.07}}, labels, ("no", "yes"))
    assert swapped.near_chance == swapped.below_chance == {"teacher": [], "student": ["a"]}
    assert found.dev_rows == {"a": 100, "b": 100}


@pytest.mark.parametrize(
    ("teacher", "student", "below", "said"),
    [
        ([PART], [], None, "teacher near chance"), ([], [PART], None, "student near chance"),
        ([PART], [PART], {"teacher": [], "student": [PART]}, "teacher near chance, student below chance"),
        ([], [], None, "55.6% kept"),
    ],
)  # fmt: skip
def test_the_table_says_who_is_near_chance(teacher, student, below, said):
    sizes = {"layers": 2, "parameters": 10, "without_embeddings": 5, "bytes": 40}
    latency = Latency({"teacher": 2.0, "student": 1.0}, texts=8, threads=2)
    scores = Comparison(
        dev={"teacher": {PART: {"f1": 0.9}}, "student": {PART: {"f1": 0.5}}},
        dev_rows={PART: 30},
        intervals={"teacher": {}, "student": {}},
        near_chance={"teacher": teacher, "student": student},
        kept={} if teacher or student else {PART: {"f1": 0.5 / 0.9}},
        below_chance=below,
    )
    out = io.StringIO()
    measured = Measured({"teacher": sizes, "student": sizes}, latency, {})
    Console(file=out, width=100).print(comparison_table(scores, measured, "sst2"))
    assert said in out.getvalue()
    assert ("kept" in out.getvalue()) == (not teacher and not student)
