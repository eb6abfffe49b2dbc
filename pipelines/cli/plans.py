"""`--dry-run`: the plan of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.wording import shown_bytes
from pipelines.augmenting.augment_job import is_augmented
from pipelines.augmenting.estimate import estimate
from pipelines.cli.terminal import TerminalReporter, planned, rows_table, warn
from pipelines.found import Found
from pipelines.run_folder.stage_folder import refuse_unwritable
from pipelines.run_folder.storage import Storage
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
    took = (
        f"{duration(plan.seconds)} with {counted(plan.workers, 'worker')} "
        f"({plan.tokens_per_second:,.0f} tokens/s each, from a short measurement)"
    )
    counts, (facts, warnings), about = plan.counts, plan.labels, "" if plan.exact else "about "
    neighbours = f"of {about}{plan.words:,} different words, {duration(plan.neighbour_seconds)} of the time"
    rows = [
        ("rows", f"{about}{plan.rows:,}" + (f", {plan.rejected:,} rejected" if plan.rejected else "")),
        ("unique texts", f"{about}{plan.texts:,}"),
        *([("reused", f"candidates of {about}{plan.reused:,}, found before")] if plan.reused else []),
        ("masked words", f"{about}{counts['masked_words']:,} in {counts['masked_copies']:,} copies"),
        ("multi-piece words", f"{about}{counts['multi_piece_words']:,} for GloVe"),
        ("masked-LM tokens", f"{about}{counts['mlm_tokens']:,}"),
        ("output rows", f"{about}{plan.output_rows:,} with the originals"),
        ("output", f"{shown_bytes(plan.output_bytes)}, candidates {shown_bytes(plan.candidate_bytes)}"),
        *([("neighbours", neighbours)] if plan.words else []),
        ("time here", "done already" if done else took),
    ]
    with planned(done) as console:
        console.print(rows_table(rows))
        for line in facts:
            console.print(line, soft_wrap=True)
        warn(console, warnings)
    return 0
