"""`tinyaug audit`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipelines.options.auditing import AuditOptions

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.auditing.audit_job import Audit
    from pipelines.auditing.report import Report


def audit(options: AuditOptions) -> int:
    """Have a teacher label originals and variants, and say which variants flip: get another label than their original.

    Of scores those flip that are more than 1 away. With --all every row is judged, which `distill --max-flip` needs.

    [bold]tinyaug audit runs/sst2 --teacher runs/sst2/teacher --png flips.png[/]
    """
    from pipelines.auditing.audit_job import run_audit
    from pipelines.cli.requests import audit_request
    from pipelines.cli.terminal import TerminalReporter, output_console
    from pipelines.evaluating.output_files import write_whole
    from pipelines.found import Found

    request = audit_request(options)
    with TerminalReporter() as reporter:
        found = run_audit(request, reporter, Found())
    _show(output_console(), found)
    if request.json_file is not None:
        content = {
            "run": request.run, "teacher": request.teacher, "task": found.augmented.task.name,
            "sample": None if found.whole else {"examples": request.sample, "seed": request.seed},
            **found.report.to_json(),
        }  # fmt: skip
        write_whole(request.json_file, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    return 0


def _show(console: Console, found: Audit) -> None:
    """Prints the share of flips in all and in each group, what --max-flip leaves out, and examples."""
    from pipelines.auditing.flips import FARTHEST

    report, storage = found.report, found.augmented.storage
    of = "all" if found.whole else f"a random {report.examples:,} of {found.examples:,}"
    beyond = "" if report.names else f" by more than {FARTHEST:g}"
    whole = report.variants
    console.print(
        f"{whole.share:.2%} of {whole.of:,} variants flip{beyond} ({whole.flips:,}), of {of} examples", soft_wrap=True
    )
    _show_groups(console, report)
    _show_examples(console, report, list(found.augmented.task.text_columns))
    if found.whole:
        console.print(f"\njudgements of all rows: {storage.display('augmented/audit')}", soft_wrap=True)
    else:
        console.print("\nto leave flips out with --max-flip, judge all rows: --all", soft_wrap=True)


def _show_groups(console: Console, report: Report) -> None:
    from rich.table import Column, Table

    from pipelines.auditing.report import BY

    table = Table("", *(Column(name, justify="right") for name in ("number", "flip", "share")), box=None)
    for group, title in BY.items():
        members = [(name, one) for name, one in report.groups[group].items() if one.of]
        if members:
            table.add_row(f"\n{title}")
        for name, one in members:
            table.add_row(f"  {name}", f"{one.of:,}", f"{one.flips:,}", f"{one.share:.2%}")
    if report.names:
        table.add_row("\nvariants that --max-flip leaves out")
        for least, number in report.confident.items():
            share = number / max(1, report.variants.of)
            table.add_row(f"  --max-flip {least:g}", f"{report.variants.of:,}", f"{number:,}", f"{share:.2%}")
    console.print(table)


def _show_examples(console: Console, report: Report, columns: list[str]) -> None:
    from rich.text import Text

    from pipelines.cli.summary import highlighted

    for _, one in report.flipped:
        shown = highlighted({**dict(zip(columns, one.texts, strict=True)), "edits": one.edits}, columns)
        sure = f" ({one.confidence:.0%})" if report.names else ""
        console.print()
        console.print(Text(" | ".join(one.original)).append(f"  {one.before}", style="bold"))
        console.print(Text("  ").append(shown).append(f"  {one.after}{sure}", style="bold red"))
