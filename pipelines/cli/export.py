"""`tinyaug export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.options.verbs import ExportOptions

if TYPE_CHECKING:
    from pipelines.exporting.export_job import Exported


def export(options: ExportOptions) -> int:
    """Write a fine-tuned model for production: ONNX with int8 for CPUs, or a folder for the hub with a card.

    The files need no tinyaug. Their logits, dev scores, sizes and latencies are compared with the model's.

    [bold]tinyaug export runs/sst2/student --format onnx --out sst2-onnx[/]

    [bold]tinyaug export runs/sst2/student --format hub --out sst2-student --push-to me/sst2-student[/]
    """
    from pipelines.cli.terminal import TerminalReporter
    from pipelines.exporting.export_job import run_export
    from pipelines.found import Found

    with TerminalReporter() as reporter:
        exported = run_export(options, reporter, Found())
    return _show(options.out, exported)


def _show(out: str, exported: Exported) -> int:
    from rich.table import Column, Table

    from pipelines.cli.terminal import output_console
    from pipelines.exporting.card import table, told

    head, *rows = table(exported)
    columns = [Column(name, justify="left" if number < 2 else "right") for number, name in enumerate(head)]
    shown, console = Table(*columns, box=None, padding=(0, 2)), output_console()
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    for line in (*told(exported), f"written: {out}", *([f"uploaded: {exported.pushed}"] if exported.pushed else [])):
        console.print(line, soft_wrap=True)
    return 0
