"""`tinyaug doctor`: what this machine has, what would fail on it, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.options.verbs import DoctorOptions

if TYPE_CHECKING:
    from pipelines.doctor import Finding

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(options: DoctorOptions) -> int:
    """Look at this machine: versions, devices, memory, disk, network, Ray, caches; exit 1 if the demo would not run.

    Every line that is not ok says what would fail, why, and what to do. Add the JSON to a bug report.

    [bold]tinyaug doctor[/]

    [bold]tinyaug doctor --address head:6379 --json doctor.json[/]
    """
    from pipelines.doctor.examine import examine, would_run
    from pipelines.errors import UserError

    if options.json is not None and not (folder := Path(options.json).absolute().parent).is_dir():
        raise UserError(f"--json {options.json}: expected a folder to write it into, found no {folder}; make it")
    findings = examine(options.out, options.address)
    runs = would_run(findings)
    if options.json is not None:
        _write_json(findings, runs, options.json)
    if options.json != "-":
        _show(findings, runs)
    return 0 if runs else 1


def _show(findings: list[Finding], runs: bool) -> None:
    from rich.table import Column, Table
    from rich.text import Text

    from pipelines.cli.terminal import plain_console

    console = plain_console()
    columns = Column(no_wrap=True), Column("checked", overflow="fold"), Column("found", overflow="fold")
    table = Table(*columns, box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    for finding in findings:
        found = Text(finding.found)
        if finding.remedy:
            found.append(f"\n→ {finding.remedy}", style="italic")
        table.add_row(Text(finding.state, style=STYLES[finding.state]), Text(finding.name), found)
    console.print(table)
    counts = {state: sum(finding.state == state for finding in findings) for state in STYLES}
    said = "the demo runs here: tinyaug run --task sst2 --demo" if runs else "the demo would not run here"
    console.print(f"{counts['fail']} failed, {counts['warn']} warnings, {counts['ok']} ok; {said}", soft_wrap=True)


def _write_json(findings: list[Finding], runs: bool, target: str) -> None:
    import json
    import sys
    from dataclasses import asdict

    from pipelines.errors import UserError

    content = {"demo_runs": runs, "findings": [asdict(finding) for finding in findings]}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"--json {target}: expected a file that can be written to, found: {error.strerror or error}; name another "
            "one, or - for the terminal"
        ) from error
