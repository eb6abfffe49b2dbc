"""What `tinyaug run --demo` prints when it is done: a tour of what a run makes, and how to go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from distill.shape_names import HALF
from pipelines.cli.run_summary import ABOUT_STANDINGS, comparison_table, footnote, standings_table
from pipelines.cli.summary import show_variants, warnings
from pipelines.cli.terminal import plain_console, rows_table, warn
from pipelines.methods.names import METHODS
from pipelines.tasks.squad import is_squad

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.demo.verdicts import Verdict
    from pipelines.whole_run.metrics import RunMetrics
    from pipelines.whole_run.run_job import RunOutcome, RunRequest

EXAMPLES, VARIANTS = 2, 2
STAGES = {
    "general": "taught a student from text",
    "pretraining": "pre-trained a student",
    "finetune": "fine-tuned a teacher",
    "intermediate": "taught a student its layers",
    "prediction": "taught it its predictions",
    "labels": "taught a student the labels",
}
WELCOME = "the demo: {}, and a student{}; some minutes on two cores, no network"
MARKS = {True: ("✓", "green"), False: ("✗", "red")}


def welcome(request: RunRequest) -> None:
    """Says what is coming, on stderr: new sentences only where the method reads them.

    Args:
        request: what the user asked for.
    """
    distill, first = request.distill, ["new sentences from old ones"] if request.augments else []
    is_half = METHODS[distill.method].encoder and distill.student == HALF
    first.append("a teacher" if request.finetune is not None else "your teacher")
    told = WELCOME.format(", ".join(first), " of half its layers" if is_half else "")
    plain_console(stderr=True).print(told, style="bold cyan", soft_wrap=True)


def show_demo(outcome: RunOutcome) -> int:
    """Prints the tour; gives the exit code.

    Args:
        outcome: what came of the run.
    """
    console, metrics = plain_console(), outcome.metrics
    if not outcome.fresh:
        console.print("everything was done already; nothing was run, and the numbers are those of then")
    took = metrics.measured.seconds
    stages = sum(stage.seconds or 0 for stage in metrics.stages.values())
    # Else a command before this one did a part.
    whole = (outcome.augmented is None or took["augment"] is not None) and stages <= (took["all"] or 0)
    _title(console, "What was done" + (f", in {_time(took['all'])}" if whole else ""))
    console.print(_stages(metrics))
    if outcome.augmented is not None:
        _title(console, "New sentences from old ones", "green: from the masked LM, magenta: from GloVe")
        show_variants(console, outcome.storage, list(outcome.augmented.job.task.text_columns), EXAMPLES, VARIANTS)
        warn(console, warnings(outcome.augmented), "")
    _title(console, "Teacher and student")
    console.print(Padding(comparison_table(metrics.scores, metrics.measured, metrics.task), (0, 0, 0, 1)))
    console.print(Padding(Text(footnote(metrics.scores, metrics.measured.latency), style="dim"), (0, 2)))
    if metrics.trimmed is not None:
        console.print(Padding(f"vocabulary: {metrics.trimmed}", (0, 2)))
    if metrics.measured.standings:
        _title(console, "Did it help?")
        console.print(standings_table(metrics.measured.standings))
        console.print(Padding(Text(ABOUT_STANDINGS, style="dim"), (0, 2)))
    if metrics.measured.verdicts:
        _title(console, "What they say of dev sentences", "picked to show right and wrong ones")
        console.print(_verdicts(metrics.measured.verdicts))
    _title(console, "Where everything lies")
    console.print(_places(outcome))
    _title(console, "How to go on")
    for line in _next(outcome):
        console.print(f"  {line}", style="dim" if line.startswith("#") else None, soft_wrap=True)
    return 0


def _stages(metrics: RunMetrics) -> Table:
    rows, unit = [], "questions" if is_squad(metrics.task) else "sentences"
    if metrics.augmented["rows"]:
        made = f"{metrics.augmented['examples']:,} {unit} became {metrics.augmented['rows']:,}"
        rows = [("augmented the data", made, _time(metrics.measured.seconds["augment"]))]
    for name, stage in metrics.stages.items():
        few = f"{stage.examples:,} of " if stage.examples < stage.rows else ""
        seen = f"{stage.steps:,} steps on {few}{stage.rows:,} {unit}"
        rows.append((STAGES.get(name, name), seen, _time(stage.seconds)))
    table = rows_table(rows)
    table.columns[-1].justify = "right"
    return table


def _verdicts(verdicts: list[Verdict]) -> Table:
    short = [Column(name, no_wrap=True) for name in ("label", "teacher", "student")]
    table = Table("sentence", *short, box=None, padding=(0, 2))
    for found in verdicts:
        said = []
        for model in (found.teacher, found.student):
            mark, style = MARKS[model.label == found.label]
            said.append(Text(f"{mark} {model.probability:.0%}", style=style))
        table.add_row(Text(found.text), found.label, *said)
    return table


def _places(outcome: RunOutcome) -> Table:
    folders, run = outcome.metrics.folders, _run(outcome)
    data = [("augmented data", f"{run}/augmented")] if outcome.augmented is not None else []
    table = rows_table([*data, *folders.items(), ("all numbers", f"{run}/metrics.json")])
    table.columns[-1].overflow = "fold"
    return table


def _run(outcome: RunOutcome) -> str:
    """The run directory as the user named it."""
    return str(Path(outcome.metrics.folders["student"]).parent)


def _next(outcome: RunOutcome) -> list[str]:
    run, student = _run(outcome), outcome.metrics.folders["student"]
    ask, own = _asking_answers(student) if is_squad(outcome.metrics.task) else _asking_classes(student)
    more = [] if outcome.augmented is None else ["# more variants", f"tinyaug inspect {run} --examples 10", ""]
    config = json.loads((Path(student) / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] == "bilstm-soft":  # transformers does not know it
        ask = ["import distill.bilstm", *ask]
    return [
        "# ask the student, in Python",
        *ask,
        "",
        *more,
        *own,
        "",
        "# any data and models of your own (--dry-run says first what it costs)",
        "tinyaug run --task custom --data my-data --text body --label stars --dry-run",
    ]


def _asking_classes(student: str) -> tuple[list[str], list[str]]:
    """How to ask a classifier, and how to go on with data of one's own."""
    ask = f'pipeline("text-classification", model="{student}")("a quietly wonderful little film")'
    own = "# your own reviews in SST-2's format, still without a network"
    more = "tinyaug run --task sst2 --demo --data my-reviews --out runs/mine"
    return ["from transformers import pipeline", ask], [own, more]


def _asking_answers(student: str) -> tuple[list[str], list[str]]:
    """The same of a model that finds answers."""
    ask = f'AutoModelForQuestionAnswering.from_pretrained("{student}")  # start and end logits of each token'
    own = "# your own questions in SQuAD's form, still without a network"
    more = "tinyaug run --task squad_v2 --demo --data my-questions --out runs/mine"
    return ["from transformers import AutoModelForQuestionAnswering", ask], [own, more]


def _title(console: Console, text: str, note: str = "") -> None:
    console.print()
    console.print(Text(text, style="bold cyan").append(f"  {note}" if note else "", style="not bold dim"))


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
