"""`--dry-run`: the plan of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from distill.wording import shown_bytes
from pipelines.augmenting.augment_job import is_augmented
from pipelines.augmenting.estimate import estimate
from pipelines.cli.terminal import TerminalReporter, output_console
from pipelines.found import Found
from pipelines.run_folder.storage import Storage
from pipelines.run_folder.writable import refuse_unwritable
from pipelines.wording import counted, duration

if TYPE_CHECKING:
    from pipelines.augmenting.request import AugmentRequest


def show_plan(request: AugmentRequest) -> int:
    """Prints what a job would cost.

    Args:
        request: what the user asked for.

    Returns:
        The exit code.
    """
    storage = Storage(request.out)
    if storage.is_local:
        refuse_unwritable(storage.local_folder(), "--out")
    found = Found()
    with TerminalReporter() as reporter:
        done = is_augmented(request, reporter, found)
        plan = estimate(request, reporter, found)
    counts = plan.counts
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("rows", f"{plan.rows:,}" + (f", {plan.rejected:,} rejected" if plan.rejected else ""))
    table.add_row("unique texts", f"{plan.texts:,}")
    table.add_row("masked words", f"{counts['masked_words']:,} in {counts['masked_copies']:,} copies")
    table.add_row("multi-piece words", f"{counts['multi_piece_words']:,} for GloVe")
    table.add_row("masked-LM tokens", f"{counts['mlm_tokens']:,}")
    table.add_row("output rows", f"{plan.output_rows:,} with the originals")
    table.add_row("output", f"{shown_bytes(plan.output_bytes)}, candidates {shown_bytes(plan.candidate_bytes)}")
    took = (
        f"{duration(plan.seconds)} with {counted(plan.workers, 'worker')} "
        f"({plan.tokens_per_second:,.0f} tokens/s each, from a short measurement)"
    )
    table.add_row("time here", "done already" if done else took)
    console = output_console()
    if done:
        console.print("everything was done already; nothing is left to do")
    console.print(table)
    facts, warnings = plan.labels
    for line in facts:
        console.print(line, soft_wrap=True)
    for warning in warnings:
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    console.print("nothing was written")
    return 0
