"""What is said of a job's progress where there is no terminal."""

from __future__ import annotations

from pipelines.cli import terminal
from pipelines.records import Record


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
    assert said[0] == "finding candidates: 8 of 10 shards are done already"
    assert said[-1] == "  90%, 0 rows/s, 1 masked words/s, 60 s left"
