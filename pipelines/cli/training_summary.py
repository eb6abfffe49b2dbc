"""What the training verbs print when they are done, and the plans of `--dry-run`."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from rich.table import Column, Table

from distill.wording import shown_bytes
from pipelines.cli.terminal import output_console, planned, told_of, training_reporter, warn
from pipelines.distilling.trimming import Trimmed
from pipelines.evaluating.output_files import write_whole
from pipelines.run_folder.clean import removable
from pipelines.training import driver
from pipelines.wording import counted, duration, pairs_words, sequences_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rich.console import Console

    from distill.class_report import ClassReport
    from pipelines.evaluating.evaluate_job import Evaluated
    from pipelines.options.verbs import EvaluateOptions
    from pipelines.run_folder.storage import Storage
    from pipelines.teacher_cache.cache_job import Filled
    from pipelines.training.driver import Trained
    from pipelines.training.estimates import TrainingEstimate
    from pipelines.training.job import Job

    Plannable = TypeVar("Plannable", bound=Job)

CONFUSED = 8  # classes whose confusions fit a terminal; all are in --json
TIMES = "the steps alone, as measured; start-up (loading, checks), evaluation on dev and writing come on top"
Metrics = dict[str, dict[str, float]]


def show_trained(trained: Trained, verb: str) -> int:
    """Prints what came of `finetune` or `distill`; gives the exit code.

    Args:
        trained: what came of it.
        verb: which of them.
    """
    metrics = trained.metrics
    models = {"teacher": metrics.get("teacher_dev", {}), "student": metrics["dev"]} if verb == "distill" else {}
    models = models or {"teacher": metrics["dev"]}
    more = [f"vocabulary: {Trimmed(**metrics['trimmed'])}"] if metrics.get("trimmed") else []
    return _show_model(trained, metric_table(models) if any(models.values()) else None, *more)


def _show_model(trained: Trained, result: Table | str | None, *more: str) -> int:
    """Prints what came of a model; under torchrun the first rank does."""
    if os.environ.get("RANK", "0") == "0":
        console = told_of(trained.fresh)
        if result is not None:
            console.print(result)
        for line in (f"model: {trained.storage.display()}", *more):
            console.print(line, soft_wrap=True)
        show_removable(console, trained.storage)
    return 0


def show_removable(console: Console, storage: Storage) -> None:
    """Names the folders of a finished run or training that may be deleted, if there are any.

    Args:
        console: prints.
        storage: its folder.
    """
    if found := [folder for folder in removable(storage) if folder.bytes]:
        size, names = shown_bytes(sum(one.bytes for one in found)), ", ".join(str(one.path) for one in found)
        console.print(f"may be deleted: {names} ({size}; `tinyaug clean {storage.display()}`)", soft_wrap=True)


def is_detail(metric: str) -> bool:
    """Whether a metric, of SQuAD, is left to metrics.json and --json."""
    return metric.startswith(("HasAns", "NoAns")) or metric.endswith("_thresh")


def metric_table(models: Mapping[str, Metrics]) -> Table:
    """Models by dev part and metric.

    Args:
        models: model -> part -> metric -> value.
    """
    columns = list(dict.fromkeys((part, name) for found in models.values() for part in found for name in found[part]))
    columns = [(part, name) for part, name in columns if not is_detail(name)]
    scores = [Column(f"{part} {name}", justify="right") for part, name in columns]
    table = Table("", *scores, box=None, padding=(0, 2))
    for model, found in models.items():
        values = [found.get(part, {}).get(name) for part, name in columns]
        table.add_row(model, *("" if value is None else f"{value:.4f}" for value in values))
    return table


def class_table(report: ClassReport) -> Table:
    """Scores by class, and how many of its rows are predicted as which; of more than `CONFUSED` classes not these.

    Args:
        report: of a dev part.
    """
    shown = [f"as {name}" for name in report.classes] if len(report.classes) <= CONFUSED else []
    numbers = (Column(name, justify="right") for name in ("rows", "precision", "recall", "F1", *shown))
    table = Table("class", *numbers, box=None, padding=(0, 2))
    for (name, one), predicted in zip(report.classes.items(), report.confusion, strict=True):
        scores = (f"{value:.4f}" for value in (one.precision, one.recall, one.f1))
        table.add_row(name, f"{one.rows:,}", *scores, *(f"{rows:,}" for rows in predicted[: len(shown)]))
    return table


def show_evaluated(request: EvaluateOptions, found: Evaluated, json_file: Path | None) -> int:
    """Prints what came of `evaluate`, and writes it as JSON where asked; gives the exit code.

    Args:
        request: what was asked.
        found: what came of it.
        json_file: where to write it; None for nowhere.
    """
    console = output_console()
    if found.dev:
        console.print(metric_table({request.model: found.dev}), soft_wrap=True)
    for part, report in found.classes.items():
        console.print(f"\n{part}: macro F1 {report.macro_f1:.4f}", soft_wrap=True)
        console.print(class_table(report))
    if request.predictions is not None:
        console.print(f"predictions: {request.predictions}", soft_wrap=True)
    if found.submitted:
        console.print(f"submission:  {request.submission} ({', '.join(found.submitted)})", soft_wrap=True)
    if found.missing:
        console.print(f"the server also wants {', '.join(found.missing)}: evaluate those tasks into the same archive")
    if json_file is not None:
        content = {"task": request.data.task, "model": request.model, "dev": found.dev, "rows": found.rows}
        content |= {"classes": {part: asdict(report) for part, report in found.classes.items()}}
        write_whole(json_file, (json.dumps(content, indent=1) + "\n").encode())
    return 0


def show_filled(filled: Filled) -> int:
    """Prints what came of `cache-teacher`; gives the exit code."""
    console, each = told_of(filled.fresh), filled.bytes / max(1, filled.rows)
    console.print(f"{filled.rows:,} rows, {shown_bytes(filled.bytes)}, {shown_bytes(each)} a row")
    console.print(f"cache: {filled.folder} (give `tinyaug distill` --cache-dir {filled.folder.parent})", soft_wrap=True)
    return 0


def show_general(trained: Trained, verb: str) -> int:
    """Prints what came of `distill-general` or `pretrain`; gives the exit code.

    Args:
        trained: what came of it.
        verb: which of them.
    """
    metrics, pretrained = trained.metrics, verb == "pretrain"
    losses = ", ".join(f"{kind} {value:.4f}" for kind, value in metrics["losses"].items())
    words, method = (pairs_words, "--method bert-small ") if pretrained else (sequences_words, "")
    steps, sequences = counted(metrics["steps"], "step"), words(metrics["sequences"], metrics["pairs"])
    said = f"next:  tinyaug distill {method}--task … --teacher … --student-init {trained.storage.display()} --out …"
    return _show_model(trained, f"{steps} over {sequences}; last losses: {losses}", said)


def carry_out(job: Job, dry_run: bool, profile: str = "paper") -> int:
    """Runs a job of a training verb and shows what came of it, or plans it; gives the exit code.

    Args:
        job: of the verb.
        dry_run: plan it, and write nothing.
        profile: what its request was made from, for advice.
    """
    if dry_run:
        return show_plan(job, profile)
    with training_reporter() as reporter:
        trained = driver.run(job, reporter, profile)
    show = show_general if job.kind in ("distill-general", "pretrain") else show_trained
    return show(trained, job.kind)


def show_plan(
    job: Plannable, profile: str = "paper", plan: Callable[[Plannable, str], TrainingEstimate] | None = None
) -> int:
    """Prints what a training verb would cost, stage by stage; writes nothing.

    Args:
        job: of the verb.
        profile: what its request was made from, for advice.
        plan: makes the estimate, with a folder to work in; by default the driver does.

    Returns:
        The exit code.
    """
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        estimate = plan(job, folder) if plan is not None else driver.plan(job, folder).estimate
    with planned(estimate.done) as console:
        show_stages(console, estimate)
        warn(console, filter(None, [estimate.warning(job.request.machine.device, profile)]), "")
    return 0


def show_stages(console: Console, estimate: TrainingEstimate) -> None:
    """Prints stages, what their times leave out, cache, disk, facts, and what the user may not have meant.

    Args:
        console: prints.
        estimate: the estimate.
    """
    console.print(estimate_table(estimate))
    console.print(f"time here: {TIMES}", soft_wrap=True)
    if estimate.cache:
        console.print(estimate.cache, soft_wrap=True)
    rest = f", everything else {shown_bytes(estimate.disk_bytes)}" if estimate.disk_bytes else ""
    console.print(f"disk: caches {shown_bytes(estimate.cache_bytes)}{rest}", soft_wrap=True)
    for fact in estimate.facts:
        console.print(fact, soft_wrap=True)
    warn(console, estimate.notes)


def estimate_table(estimate: TrainingEstimate) -> Table:
    """Stages with rows, epochs, steps, examples, rates and time."""
    numbers = ("rows", "epochs", "steps", "examples", "examples/s", "time here")
    columns = (Column(name, justify="right", no_wrap=True) for name in numbers)
    table = Table(Column("stage", no_wrap=True), *columns, box=None, padding=(0, 1))
    for stage in estimate.stages:
        rate = "" if stage.done else f"{stage.examples / max(stage.seconds, 1e-9):,.1f}"
        took = "done already" if stage.done else duration(stage.seconds)
        row: list[Any] = [stage.name, f"{stage.rows:,}", stage.recipe.epochs, f"{stage.steps:,}"]
        table.add_row(*map(str, row), f"{stage.examples:,}", rate, took)
    return table
