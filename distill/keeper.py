"""When a run makes checkpoints, and the thread that writes them: states are copied, and steps go on meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from distill.behind import Behind
from distill.checkpoints import host_copy, save_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from distill.checkpoints import RunState
    from distill.objectives import Stage

SECONDS = 300.0  # between checkpoints, unless steps are counted


class Keeper(Behind):
    """The checkpoints of a run; only its main process writes any.

    Args:
        folder: of the stage.
        run: settings that a resumed run must share.
        every: steps between checkpoints; None makes them by the clock.
    """

    def __init__(self, folder: Path, run: Mapping[str, object], every: int | None) -> None:
        super().__init__("checkpoint")
        self._folder, self._run_identity, self._every = folder, run, every
        self._last, self._due = time.monotonic(), False

    def overdue(self) -> bool:
        """Whether the time between checkpoints is over on this process; several ones have to agree on it."""
        return self._every is None and time.monotonic() - self._last >= SECONDS

    def agree(self, overdue: bool) -> None:
        """Takes in what all processes agreed upon; it holds until a checkpoint is begun."""
        self._due |= overdue

    def due(self, step: int) -> bool:
        """Whether a checkpoint comes after a step; the same for all processes."""
        return self._due or (self._every is not None and step % self._every == 0)

    def begin(self) -> None:
        """Waits for the last checkpoint, and starts the clock for the next one.

        Raises:
            OSError: the last one could not be written.
        """
        self.wait()
        self._last, self._due = time.monotonic(), False

    def keep(self, state: RunState, stage: Stage, states: dict[str, Any], before: Callable[[], None]) -> None:
        """Copies what a checkpoint holds and has it written.

        Args:
            state: where the run stands.
            stage: whose weights are kept, frozen ones included.
            states: of optimiser and loss scaler.
            before: what must have been written first, called by the thread.
        """
        weights, copied = host_copy((stage.state_dict(), states))

        def write() -> None:
            before()
            save_checkpoint(self._folder, self._run_identity, state, weights, copied)

        self.start(write)
