"""What is said of a job's progress where there is no terminal."""

from __future__ import annotations

from distill.comparison import Comparison
from distill.latency import Latency
from distill.training_settings import Progress
from pipelines.cli import terminal
from pipelines.cli.run_summary import footnote
from pipelines.run_folder.records import Record
from pipelines.wording import rejected_rows
from tests.pipelines.jobs import done, tinyaug


def record(part: int) -> Record:
    return Record("candidates", part, 10, 0, 1, 1, 1, "", "", {"masked_words": 50})


def test_time_left_counts_this_run_alone(monkeypatch, capsys):
    """Eight parts of ten were done by an earlier run, in no time of this one."""
    now = [1000.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(terminal, "LINE_EVERY", 0.0)
    reporter = terminal.TerminalReporter()
    reporter.started("candidates", 10, [record(part) for part in range(8)], dict.fromkeys(range(10), 1.0))
    now[0] += 60
    reporter.advanced(record(8))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "finding candidates: 8 of 10 shards done already"
    assert said[-1] == "  90%, 0 rows/s, 1 masked words/s, 60 s left"


def test_what_checks_repeat_is_said_once(capsys):
    reporter = terminal.TerminalReporter()
    for text in ("reusing candidates of runs/a", "note: one class") * 2:
        reporter.message(text)
    assert capsys.readouterr().err.splitlines() == ["reusing candidates of runs/a", "note: one class"]


def test_time_left_of_training_counts_this_run_alone(monkeypatch, capsys):
    """Step 80 of 100 was reached by an earlier run; ten steps took this one a minute."""
    now = [1000.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(terminal, "LINE_EVERY", 0.0)
    reporter = terminal.TerminalReporter()
    reporter.stage_started("prediction", 6000)
    now[0] += 60
    reporter.advanced(Progress(90, 0, 5400, 6000, {}, 10.0))
    assert capsys.readouterr().err.splitlines()[-1] == "  90%, epoch 1, step 90, 10 examples/s, 60 s left"


def test_a_plan_says_that_the_machine_is_busy(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    for load, said in ((5.0, "note: this machine is busy (load 5 on 2 CPUs)"), (1.9, "nothing was written")):
        monkeypatch.setattr("os.getloadavg", lambda load=load: (load, 0.0, 0.0))
        lines = done(*inputs.augment(tmp_path / "run", "--dry-run")).out.splitlines()
        assert said in lines[-2 if load > 2 else -1]
        assert ("busy" in "".join(lines)) == (load > 2)


def test_the_number_of_timed_texts_is_explained():
    few, all_of_them = (Latency({"teacher": 2.0}, texts, 1) for texts in (49, 128))
    scores = Comparison({}, {}, {}, {}, {})
    assert "median of 49 texts one by one (128 at most, in 6 s), on the CPU" in footnote(scores, few)
    assert "median of 128 texts one by one, on the CPU" in footnote(scores, all_of_them)


def test_no_line_is_broken_where_there_is_no_terminal(inputs, tmp_path):
    """Whoever looks for a text in what a pipe gives must find it whole."""
    text = " ".join(["a quite good film with very poor music"] * 6)
    (tmp_path / "data.csv").write_text(f"text,label\n{text},1\n,\n")
    skip = ("--on-bad-row", "skip", "--allow-rejects", "--label", "label", "--label-names", "0,1")
    ran = done(*inputs.custom(tmp_path / "data.csv", tmp_path / "run", *skip))
    assert text in ran.out.splitlines()
    assert f"1 row was rejected: {tmp_path}/run/rejected.parquet" in ran.out.splitlines()
    assert any(
        line.endswith("draws gave the word itself") and "GloVe" in line
        for line in map(str.rstrip, ran.out.splitlines())
    )
    assert text in tinyaug("inspect", tmp_path / "run").out.splitlines()
    assert "1 of 1 shard, 4 rows" in tinyaug("status", tmp_path / "run").out
    assert "finding candidates: 1 shard\n" in ran.err


def test_how_rows_are_counted():
    assert (rejected_rows(1), rejected_rows(2000)) == ("1 row was rejected", "2,000 rows were rejected")
