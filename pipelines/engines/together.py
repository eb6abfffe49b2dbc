"""Stages that run at once: one thread waits for all of them, so that a signal or a failure of one ends the others."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from pipelines.augmenting.stages import Stage
    from pipelines.engines.engine import EngineSettings, OnDone

    # Yields what it waits for; goes on once some of that, or of what others wait for, is done.
    Waiting = Generator[Collection[Future[Any]], None, None]


@dataclass(frozen=True)
class Follower:
    """A stage that runs beside the one whose shards it reads.

    Args:
        stage: what to run.
        parts: numbers of the parts that are left, in the order in which they become ready.
        settings: how.
        on_done: called with each part's record or failure.
        ready: whether all that a part reads is there.
        alone: whether the other stage is at its end, so that all cores are free.
    """

    stage: Stage
    parts: list[int]
    settings: EngineSettings
    on_done: OnDone
    ready: Callable[[int], bool]
    alone: Callable[[], bool]


def run_together(*runs: Waiting) -> None:
    """Runs to the end; parts that are not ready when nothing is left to wait for are left.

    Args:
        runs: what follows another comes after it. Where one raises, or this process is stopped, all are closed.
    """
    with ExitStack() as stack:
        for run in reversed(runs):
            stack.enter_context(closing(run))
        while waits := [future for run in runs for future in next(run, ())]:
            wait(waits, return_when=FIRST_COMPLETED)
