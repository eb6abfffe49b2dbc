"""Paths and texts with brackets and colons, which a terminal's markup would swallow or refuse."""

from __future__ import annotations

import pytest
from rich.console import Console

from pipelines.cli import terminal
from tests.pipelines.jobs import done, sentences, write_sst2
from tests.pipelines.training.verbs import distill, evaluate, finetune, general, run

NAME = "o[bold]x:cat:[/]y"
ONE_STEP = ("--max-steps", 1, "--cache", "off")
TEXT = "[/] [bold]{}[red] :cat:"


@pytest.fixture
def wide(monkeypatch):
    """No cell of a table is broken."""
    monkeypatch.setenv("COLUMNS", "1000")


def lines(command: list[str]) -> list[str]:
    return [" ".join(line.split()) for line in done(*command).out.splitlines()]


def test_what_training_says(parts, corpus, tmp_path):
    out = tmp_path / NAME
    said = lines(general(parts, corpus, out, *ONE_STEP))
    assert f"model: {out}" in said
    assert f"next: tinyaug distill --task … --teacher … --student-init {out} --out …" in said
    command = distill(parts, tmp_path / "d" / NAME, *ONE_STEP)
    assert f"model: {tmp_path}/d/{NAME}" in lines(command)
    cache = ["cache-teacher", *command[1 : command.index("--student")], "--max-length", "32", "--device", "cpu"]
    out = tmp_path / "c" / NAME
    assert any(f"--cache-dir {out})" in line for line in lines([*cache, "--out", str(out)]))


def test_what_a_run_and_its_student_say(parts, tmp_path, wide):
    out = tmp_path / NAME
    texts = [TEXT.format(text) for text in sentences(30)]
    data = write_sst2(tmp_path / "d[/]" / "SST-2", texts, texts[:20])
    command = run(parts, out, "--data", data, "--teacher", parts.teacher, *ONE_STEP)
    said = lines(command)
    assert {f"student: {out}/student", f"metrics: {out}/metrics.json"} <= set(said)
    shown = lines(["inspect", str(out), "--examples", "1"])
    assert shown[1] == texts[0]
    assert len(shown) > 2
    csv = tmp_path / "p[bold]q.csv"
    judged = lines(evaluate(parts, out / "student", "--data", data, "--predictions", csv))
    assert f"predictions: {csv}" in judged
    assert any(line.startswith(f"{out}/student 0.") for line in judged)


def test_what_the_demo_says(parts, tmp_path, wide):
    out = tmp_path / NAME
    texts = [TEXT.format(text) for text in sentences(30)]
    data = write_sst2(tmp_path / "SST-2", texts, texts[:20])
    said = lines(run(parts, out, "--demo", "--data", data, *ONE_STEP))
    shown = "".join(said).replace(" ", "")  # wherever a table breaks a path
    for place in (f"student{out}/student", f"allnumbers{out}/metrics.json"):
        assert place in shown, "\n".join(said)
    assert "# ask the student, in Python" in said
    assert any(line.startswith("[/] [bold]") and line.endswith("%") for line in said)
    assert texts[0] in said


def test_rejected_rows_and_warnings(inputs, tmp_path, capsys):
    out = tmp_path / NAME
    (tmp_path / "data.csv").write_text(f"text,label\n{TEXT.format('a film')},1\n,\n")
    skip = ("--on-bad-row", "skip", "--allow-rejects", "--label", "label", "--label-names", "0,1")
    said = lines(inputs.custom(tmp_path / "data.csv", out, *skip))
    assert f"1 row was rejected: {out}/rejected.parquet" in said
    assert f"manifest: {out}/augmented/manifest.json" in said
    terminal.TerminalReporter().message(NAME)
    assert capsys.readouterr().err == f"{NAME}\n"


def test_every_console_is_plain(parts, tmp_path, monkeypatch):
    made = []
    init = Console.__init__

    def noted(self, **options):
        made.append(options)
        init(self, **options)

    monkeypatch.setattr(Console, "__init__", noted)
    done("doctor", "--out", tmp_path)
    done(*finetune(parts, tmp_path / "out", "--dry-run"))
    assert made
    assert all(options["markup"] is options["emoji"] is options["highlight"] is False for options in made)
