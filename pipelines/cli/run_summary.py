"""What `tinyaug run` shows: progress of its stages, its plan, its summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pipelines.cli.terminal import TerminalReporter
from pipelines.cli.training_progress import TrainingProgress
from pipelines.cli.training_summary import estimate_table, metric_table
from pipelines.wording import duration, size

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pipelines.reporting import Reporter
    from pipelines.training.reporting import TrainingReporter
    from pipelines.training.run_job import RunOutcome, RunRequest

OFFER_QUICK = 6 * 3600.0  # seconds


class TerminalReporting:
    """Bars on stderr for every stage."""

    def augmenting(self) -> AbstractContextManager[Reporter]:
        """For the augmentation."""
        return TerminalReporter()

    def training(self) -> AbstractContextManager[TrainingReporter]:
        """For everything else."""
        return TrainingProgress()


def show_run(outcome: RunOutcome) -> None:
    """Prints the summary table of a run.

    Args:
        outcome: what came of it.
    """
    console, metrics = Console(highlight=False), outcome.metrics
    if not outcome.augmented.fresh and not outcome.student.fresh:
        console.print("everything was done already; nothing was run")
    table = Table(show_header=False, box=None, padding=(0, 2))
    augmented = metrics["augmented"]
    table.add_row("augmented", f"{augmented['examples']:,} examples, {augmented['rows']:,} rows")
    for name, stage in metrics["stages"].items():
        table.add_row(name, f"{stage['steps']:,} steps, {stage['examples']:,} examples, {duration(stage['seconds'])}")
    sizes = metrics["parameters"]
    table.add_row("layer map", ", ".join(str(layer) for layer in metrics["layer_map"]))
    table.add_row(
        "parameters",
        f"teacher {sizes['teacher'] / 1e6:,.1f} M, student {sizes['student'] / 1e6:,.1f} M "
        f"({sizes['teacher'] / max(1, sizes['student']):,.1f} times smaller)",
    )
    console.print(table)
    console.print(metric_table({**metrics["dev"], "student / teacher": metrics["kept"]}))
    console.print(f"student: {metrics['folders']['student']}", soft_wrap=True)
    console.print(f"metrics: {outcome.storage.display('metrics.json')}", soft_wrap=True)


def show_run_plan(request: RunRequest) -> int:
    """Prints what a run would cost; writes nothing.

    Args:
        request: what the user asked for.

    Returns:
        The exit code.
    """
    from pipelines.training.run_plan import plan_run

    with TerminalReporter() as reporter:
        plan = plan_run(request, reporter)
    console = Console(highlight=False)
    augment = plan.augment
    console.print(
        f"augment: {augment.rows:,} rows, {augment.texts:,} unique texts, {augment.output_rows:,} rows out, "
        f"{size(augment.output_bytes + augment.candidate_bytes)}, {duration(augment.seconds)}",
        soft_wrap=True,
    )
    console.print(estimate_table(plan.training))
    console.print(plan.training.cache, soft_wrap=True)
    training = plan.training
    console.print(f"disk: caches {size(training.cache_bytes)}, checkpoints and models {size(training.disk_bytes)}")
    console.print(f"in all {duration(plan.seconds)} on this machine")
    if plan.seconds > OFFER_QUICK and request.profile != "quick":
        console.print(
            training.warning("cpu", request.profile) or "for a first look: --profile quick",
            style="yellow",
            soft_wrap=True,
        )
    console.print("nothing was written")
    return 0
