"""What `tinyaug run` shows: its plan and its summary."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.table import Column, Table

from distill.wording import shown_bytes
from pipelines.cli.summary import reused_rows, warnings
from pipelines.cli.terminal import TerminalReporter, planned, rows_table, told_of, warn
from pipelines.cli.training_summary import is_detail, show_removable, show_stages
from pipelines.tasks.squad import is_squad
from pipelines.wording import counted, duration

if TYPE_CHECKING:
    from distill.comparison import Comparison
    from distill.latency import Latency
    from pipelines.whole_run.baseline import Standing
    from pipelines.whole_run.metrics import Measured
    from pipelines.whole_run.run_job import RunOutcome, RunRequest

MODELS = ("teacher", "student")
STANDING = {"unaugmented": "without augmentation", "finetuned": "fine-tuned on labels"}
ABOUT_STANDINGS = (
    "lead: points by which the student is ahead, with its 95% interval; p: of McNemar's exact test, with the rows that "
    "the student alone has right and those that the other alone has"
)
SIZES = (
    ("parameters", "parameters", "M"),
    ("without embeddings", "without_embeddings", "M"),
    ("on disk", "bytes", "MB"),
)


def show_run(outcome: RunOutcome) -> int:
    """Prints the summary of a run; gives the exit code.

    Args:
        outcome: what came of it.
    """
    console, metrics, rows = told_of(outcome.fresh), outcome.metrics, []
    if outcome.augmented is not None:
        rows = [("augmented", f"{metrics.augmented['examples']:,} examples, {metrics.augmented['rows']:,} rows")]
        rows += reused_rows(outcome.augmented)
    for name, stage in metrics.stages.items():
        rows.append((name, f"{stage.steps:,} steps, {stage.examples:,} examples, {duration(stage.seconds)}"))
    console.print(rows_table([*rows, ("layer map", ", ".join(map(str, metrics.layer_map)) or "none")]))
    console.print(comparison_table(metrics.scores, metrics.measured, metrics.task))
    console.print(footnote(metrics.scores, metrics.measured.latency), style="dim", soft_wrap=True)
    if metrics.trimmed is not None:
        console.print(f"vocabulary: {metrics.trimmed}", soft_wrap=True)
    if metrics.measured.standings:
        console.print(standings_table(metrics.measured.standings))
        console.print(ABOUT_STANDINGS, style="dim", soft_wrap=True)
    if outcome.augmented is not None:
        warn(console, warnings(outcome.augmented), "")
    console.print(f"student: {metrics.folders['student']}", soft_wrap=True)
    console.print(f"metrics: {outcome.storage.display('metrics.json')}", soft_wrap=True)
    show_removable(console, outcome.storage)
    return 0


def comparison_table(scores: Comparison, measured: Measured, task: str) -> Table:
    """Teacher and student beside each other: scores with intervals, sizes, latencies, and what the student gains.

    Args:
        scores: results of both models.
        measured: their sizes and latencies.
        task: its name.
    """
    models = [Column(name, justify="right", no_wrap=True) for name in MODELS]
    table = Table(Column(no_wrap=True), *models, Column(justify="right"), box=None, padding=(0, 1))
    dev = scores.dev
    for part, found in (dev["student"] or dev["teacher"]).items():  # a student without the last stage has none
        for name in filter(lambda name: not is_detail(name), found):
            values = [_score(scores, model, part, name) for model in MODELS]
            table.add_row(f"{part} {name}", *values, _kept(scores, part, name))
    sizes = [measured.sizes[model] for model in MODELS]
    table.add_row("layers", *(str(found["layers"]) for found in sizes), "")
    for label, name, unit in SIZES:
        numbers = [found[name] / 1e6 for found in sizes]
        table.add_row(label, *(f"{number:,.1f} {unit}" for number in numbers), _times(numbers, "smaller"))
    numbers = [measured.latency.milliseconds[model] for model in MODELS]
    table.add_row(
        f"one {'question' if is_squad(task) else 'sentence'}",
        *(f"{number:,.1f} ms" for number in numbers),
        _times(numbers, "faster"),
    )
    return table


def footnote(scores: Comparison, latency: Latency) -> str:
    """What the intervals and the milliseconds are."""
    from distill.latency import SECONDS, TEXTS

    said = [f"{part}: {counted(rows, 'row')}" for part, rows in scores.dev_rows.items()]
    if any(scores.intervals.values()):
        said.append("in brackets the 95% interval")
    texts, threads = latency.texts, counted(latency.threads, "thread")
    most = "" if texts == TEXTS else f" ({TEXTS} at most, in {SECONDS:.0f} s)"
    said.append(f"milliseconds: a forward pass, median of {texts} texts one by one{most}, on the CPU ({threads})")
    return "; ".join(said)


def standings_table(standings: list[Standing]) -> Table:
    """Each model's results with their intervals, and how far the student is ahead of it.

    Args:
        standings: of all models.
    """
    numbers = (Column(name, justify="right", no_wrap=True) for name in ("", "student's lead"))
    others = (Column(overflow="fold"), *numbers, Column("p", justify="right", overflow="fold"))
    table, shown = Table(*others, box=None, padding=(0, 1), pad_edge=False), ""  # 80 columns have room for it
    for one in standings:
        if shown != f"{one.part} {one.metric}":
            shown = f"{one.part} {one.metric}"
            table.add_row(shown)
        value = f"{one.value:.1%} [{100 * one.interval[0]:.1f}-{100 * one.interval[1]:.1f}]"
        lead, test = "", ""
        if one.lead is not None:
            low, high = one.lead.interval
            lead = f"{100 * one.lead.difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        if one.lead is not None and one.lead.alone is not None:
            test = f"{one.lead.p_value:.2g} ({one.lead.alone[0]:,}:{one.lead.alone[1]:,})"
        table.add_row(f" {STANDING.get(one.model, one.model)}", value, lead, test)
    return table


def _score(scores: Comparison, model: str, part: str, name: str) -> str:
    value = scores.dev[model].get(part, {}).get(name)
    interval = scores.intervals[model].get(part, {}).get(name)
    if value is None or interval is None:
        return "" if value is None else f"{value:.4f}"
    return f"{value:.1%} [{100 * interval[0]:.1f}-{100 * interval[1]:.1f}]"


def _kept(scores: Comparison, part: str, name: str) -> str:
    """The student's share of its teacher's score, or why there is none."""
    below = {model for model, parts in (scores.below_chance or {}).items() if part in parts}
    near = [model for model in MODELS if part in scores.near_chance[model]]
    if near:
        told = {"near": [one for one in near if one not in below], "below": [one for one in near if one in below]}
        return ", ".join(f"{' and '.join(models)} {where} chance" for where, models in told.items() if models)
    kept = scores.kept.get(part, {}).get(name)
    return "" if kept is None else f"{kept:.1%} kept"


def _times(numbers: list[float], what: str) -> str:
    teacher, student = numbers
    return f"{teacher / max(student, 1e-9):,.1f} x {what}"


def show_run_plan(request: RunRequest) -> int:
    """Prints what a run would cost; writes nothing.

    Args:
        request: what the user asked for.

    Returns:
        The exit code.
    """
    from pipelines.found import Found
    from pipelines.whole_run.checks import plan_run

    with TerminalReporter() as reporter:
        plan = plan_run(request, reporter, Found())
    augment, training = plan.augment, plan.training
    facts, notes = augment.labels if augment is not None else ((), ())
    training = replace(
        training,
        facts=tuple(dict.fromkeys((*facts, *training.facts))),
        notes=tuple(dict.fromkeys((*notes, *training.notes))),
    )
    with planned(plan.done) as console:
        if augment is not None:
            took = "done already" if plan.augmented else duration(augment.seconds)
            size = shown_bytes(augment.output_bytes + augment.candidate_bytes)
            said = f"augment: {augment.rows:,} rows, {augment.texts:,} unique texts, {augment.output_rows:,} rows out"
            console.print(f"{said}, {size}, {took}", soft_wrap=True)
        show_stages(console, training)
        console.print(f"in all {duration(plan.seconds)} on this machine, and what comes on top")
        warn(console, filter(None, [plan.warning(request.distill.machine.device, request.profile)]), "")
    return 0
