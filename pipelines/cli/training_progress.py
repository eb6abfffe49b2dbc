"""Progress of training in a terminal: a bar with the losses by kind; a line now and then where there is none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipelines.cli.terminal import plain_console

if TYPE_CHECKING:
    from types import TracebackType

    from distill.training_settings import Progress as Now

TITLES = {
    "labels": "fine-tuning",
    "intermediate": "intermediate distillation",
    "prediction": "prediction distillation",
    "general": "general distillation",
    "teacher": "running the teacher",
}
LINE_EVERY = 20.0  # seconds between lines where there is no terminal


class TrainingProgress:
    """Shows progress on stderr."""

    def __init__(self) -> None:
        self._console = plain_console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[now]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            speed_estimate_period=120,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._total = 0
        self._start = self._said = time.monotonic()
        self._last: Now | None = None

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def message(self, text: str) -> None:
        """Prints a line above the bar."""
        self._console.print(text, style="dim", soft_wrap=True)

    def warning(self, text: str) -> None:
        """Prints a line that stands out."""
        self._console.print(f"warning: {text}", style="yellow", soft_wrap=True)

    def stage_started(self, name: str, examples: int) -> None:
        """Opens a bar."""
        self._total, self._last = examples, None
        self._start = self._said = time.monotonic()
        if self._console.is_terminal:
            self._progress.start()  # not before: till then downloads draw bars of their own
            self._task = self._progress.add_task(TITLES.get(name, name), total=examples, now="")
        else:
            self.message(f"{TITLES.get(name, name)}: {examples:,} examples")

    def advanced(self, progress: Now) -> None:
        """Moves the bar."""
        self._last = progress
        if self._task is not None:
            self._progress.update(self._task, completed=min(progress.examples, self._total), now=_shown(progress))
        elif time.monotonic() - self._said >= LINE_EVERY:
            self._said = time.monotonic()
            left = max(0, self._total - progress.examples) / max(progress.examples_per_s, 1e-9)
            share = 100 * progress.examples / max(self._total, 1)
            self.message(f"  {share:.0f}%, {_shown(progress)}, {left / 60:.0f} min left")

    def stage_ended(self, name: str) -> None:
        """Closes the bar."""
        if self._task is None and self._last is not None:
            seconds = time.monotonic() - self._start
            self.message(f"{TITLES.get(name, name)}: {_shown(self._last)}, {seconds:.0f} s")
        self._task = None


def _shown(now: Now) -> str:
    losses = ", ".join(f"{kind} {value:.4f}" for kind, value in now.losses.items())
    return f"epoch {now.epoch + 1}, step {now.step:,}, {now.examples_per_s:,.0f} examples/s" + (
        f", {losses}" if losses else ""
    )
