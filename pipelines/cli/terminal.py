"""Progress in a terminal: bars with rates and time left; a line now and then where there is no terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipelines.wording import counted

if TYPE_CHECKING:
    from types import TracebackType

    from pipelines.run_folder.records import Record

TITLES = {"candidates": "finding candidates", "augmented": "drawing variants"}
NOTES = ("note: ", "warning: ")  # how lines begin that a check of the inputs says each time
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


class TerminalReporter:
    """Shows progress on stderr.

    Args:
        noted: notes and warnings that were printed; they are printed once by all reporters that share it.
    """

    def __init__(self, noted: set[str] | None = None) -> None:
        self._noted = set() if noted is None else noted
        self._console = plain_console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rates]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._cost: dict[int, float] = {}
        self._total = self._before = self._done = 0.0  # cost of all parts, of those of earlier runs, of finished ones
        self._counts = {"rows": 0, "masked_words": 0}
        self._start = self._said = time.monotonic()

    def __enter__(self) -> TerminalReporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def message(self, text: str) -> None:
        """Prints a line above the bars."""
        if text in self._noted:
            return
        if text.startswith(NOTES):
            self._noted.add(text)
        self._console.print(text, style="dim", soft_wrap=True)

    def started(self, stage: str, parts: int, finished: list[Record], cost: dict[int, float]) -> None:
        """Opens a bar."""
        self._cost, self._total = cost, sum(cost.values())
        self._before = self._done = sum(cost[record.part] for record in finished)
        self._counts = {"rows": 0, "masked_words": 0}
        self._start = self._said = time.monotonic()
        title = TITLES.get(stage, stage)
        if finished:
            self.message(f"{title}: {len(finished)} of {counted(parts, 'shard')} done already")
        if self._console.is_terminal:
            self._progress.start()  # not before: till then downloads draw bars of their own
            self._task = self._progress.add_task(title, total=self._total, completed=int(self._done), rates="")
        else:
            self.message(f"{title}: {counted(parts - len(finished), 'shard')}")

    def advanced(self, record: Record) -> None:
        """Moves the bar by one part."""
        self._done += self._cost[record.part]
        for name in self._counts:
            self._counts[name] += record.counts.get(name, record.rows if name == "rows" else 0)
        if self._task is not None:
            self._progress.update(self._task, completed=self._done, rates=self._rates())
        elif time.monotonic() - self._said >= LINE_EVERY:
            self._said = time.monotonic()
            self.message(f"  {100 * self._done / max(self._total, 1):.0f}%, {self._rates()}, {self._left()} left")

    def ended(self, stage: str) -> None:
        """Closes the bar."""
        if self._task is None:
            seconds = time.monotonic() - self._start
            self.message(f"{TITLES.get(stage, stage)}: {self._rates()}, {seconds:.0f} s")
        self._task = None
        sys.stderr.flush()

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
