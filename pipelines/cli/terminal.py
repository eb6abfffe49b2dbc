"""Progress in a terminal: bars with rates and time left; a line now and then where there is no terminal."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from pipelines.run_folder.records import Record
from pipelines.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from distill.training_settings import Progress as Steps

TITLES = {
    "neighbours": "finding GloVe neighbours",
    "candidates": "finding candidates",
    "augmented": "drawing variants",
    "finetune": "fine-tuning",
    "intermediate": "intermediate distillation",
    "prediction": "prediction distillation",
    "general": "general distillation",
    "pretraining": "pre-training",
    "teacher": "running the teacher",
}
# How lines begin that a check of the inputs, or of candidates to be reused, says each time:
NOTES = ("note: ", "warning: ", "reusing ", "candidates of ")
LINE_EVERY = 20.0  # seconds between lines where there is no terminal
UNBROKEN = 1_000_000_000  # columns of a file or pipe


def plain_console(stderr: bool = False) -> Console:
    """A console that prints texts and paths as they are: a user's brackets are no markup, his `:cat:` is no emoji.

    Args:
        stderr: whether it prints there.
    """
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def output_console() -> Console:
    """A console for stdout that breaks no line where there is no terminal: whoever reads it there looks for lines."""
    console = plain_console()
    if not console.is_terminal:
        console.width = UNBROKEN
    return console


def told_of(fresh: object, name: str = "") -> Console:
    """A console for what came of a verb, which has said so if nothing was run.

    Args:
        fresh: whether anything was run, or how many parts were.
        name: of the run, to begin with.
    """
    console = output_console()
    if not fresh:
        console.print(f"{name}everything was done already; nothing was run")
    return console


@contextmanager
def planned(done: bool) -> Iterator[Console]:
    """A console for a plan, with what is said before and after it.

    Args:
        done: whether nothing is left to do.
    """
    console = output_console()
    if done:
        console.print("everything was done already; nothing is left to do")
    yield console
    with suppress(OSError):  # where the system does not tell
        load, cpus = os.getloadavg()[0], os.cpu_count() or 1
        if load > cpus and not done:
            said = f"this machine is busy (load {load:.0f} on {counted(cpus, 'CPU')}): times were measured beside its"
            warn(console, [f"{said} other work; on a quiet machine they are shorter"], "note: ")
    console.print("nothing was written")


def warn(console: Console, warnings: Iterable[str], prefix: str = "warning: ") -> None:
    """Prints warnings, each in a line that stands out."""
    for warning in warnings:
        console.print(f"{prefix}{warning}", style="yellow", soft_wrap=True)


def rows_table(rows: Iterable[tuple[str, ...]]) -> Table:
    """Labels and values beside each other."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    for row in rows:
        table.add_row(*row)
    return table


@contextmanager
def training_reporter() -> Iterator[TerminalReporter]:
    """A reporter for a verb that may run in several processes, which leave each other at the end."""
    from pipelines.training.ranks import leave_ranks

    try:
        with TerminalReporter() as reporter:
            yield reporter
    finally:
        leave_ranks()


class TerminalReporter:
    """Shows progress on stderr, one stage after the other; a note of the inputs is shown once."""

    def __init__(self) -> None:
        self._noted: set[str] = set()
        self._console = plain_console(stderr=True)
        self._bar: Progress | None = None
        self._title = self._words = ""
        self._cost: dict[int, float] = {}
        self._counts = {"rows": 0, "masked_words": 0}
        self._total = self._before = self._done = 0.0  # of all the work, of earlier commands, of what is done
        self._start = self._said = time.monotonic()

    def __enter__(self) -> TerminalReporter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def message(self, text: str) -> None:
        """Prints a line above the bar."""
        if text in self._noted:
            return
        if text.startswith(NOTES):
            self._noted.add(text)
        self._console.print(text, style="dim", soft_wrap=True)

    def warning(self, text: str) -> None:
        """Prints a line that stands out."""
        warn(self._console, [text])

    def started(self, stage: str, parts: int, finished: list[Record], cost: dict[int, float]) -> None:
        """Opens a bar for shards."""
        self._cost, self._counts = cost, dict.fromkeys(self._counts, 0)
        if finished:
            self.message(f"{TITLES.get(stage, stage)}: {len(finished)} of {counted(parts, 'shard')} done already")
        done = sum(cost[record.part] for record in finished)
        self._open(stage, sum(cost.values()), done, counted(parts - len(finished), "shard"))

    def stage_started(self, name: str, examples: int) -> None:
        """Opens a bar for examples."""
        self._open(name, examples, 0, f"{examples:,} examples")

    def advanced(self, now: Record | Steps) -> None:
        """Moves the bar."""
        if isinstance(now, Record):
            self._done += self._cost[now.part]
            for name in self._counts:
                self._counts[name] += now.counts.get(name, now.rows if name == "rows" else 0)
            self._words = self._rates()
        else:
            if not self._words:
                self._count_from(now)
            self._done, self._words = min(now.examples, self._total), _steps_words(now)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[-1], completed=self._done, now=self._words)
        elif time.monotonic() - self._said >= LINE_EVERY:
            self._said = time.monotonic()
            self.message(f"  {100 * self._done / max(self._total, 1):.0f}%, {self._words}, {self._left()} left")

    def ended(self, stage: str) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.stop()
        elif self._words:
            seconds = time.monotonic() - self._start
            self.message(f"{TITLES.get(stage, stage)}: {self._words}, {seconds:.0f} s")
        self._bar = None
        sys.stderr.flush()

    def _open(self, stage: str, total: float, done: float, work: str) -> None:
        self._total, self._before, self._done, self._words = total, done, done, ""
        self._start = self._said = time.monotonic()
        title = TITLES.get(stage, stage)
        if not self._console.is_terminal:
            self.message(f"{title}: {work}")
            return
        self._bar = Progress(
            "{task.description}",
            BarColumn(bar_width=24),
            "{task.percentage:>3.0f}%",
            "{task.fields[now]}",
            TimeElapsedColumn(),
            "left",
            TimeRemainingColumn(),
            console=self._console,
            speed_estimate_period=120,
        )
        self._bar.start()  # not before: until then downloads draw bars of their own
        self._bar.add_task(title, total=total, completed=int(done), now="")

    def _count_from(self, now: Steps) -> None:
        """Leaves what an earlier command saw out of the time that is left, at the first steps of this one."""
        seen = now.examples_per_s * (time.monotonic() - self._start)
        self._before = max(now.examples - seen, 0)
        if self._bar is not None:
            self._bar.reset(self._bar.task_ids[-1], completed=int(self._before))

    def _rates(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-3)
        rates = [f"{self._counts['rows'] / seconds:,.0f} rows/s"]
        if self._counts["masked_words"]:
            rates.append(f"{self._counts['masked_words'] / seconds:,.0f} masked words/s")
        return ", ".join(rates)

    def _left(self) -> str:
        seconds = time.monotonic() - self._start
        left = seconds * (self._total - self._done) / max(self._done - self._before, 1e-9)
        return f"{left / 60:.0f} min" if left > 90 else f"{left:.0f} s"


def _steps_words(now: Steps) -> str:
    words = [f"epoch {now.epoch + 1}, step {now.step:,}, {now.examples_per_s:,.0f} examples/s"]
    return ", ".join([*words, *(f"{kind} {value:.4f}" for kind, value in now.losses.items())])
