"""Several processes under torchrun: one of them writes, the others wait for it."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from pipelines.lock import only_writer
from pipelines.training.reporting import SilentTraining

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.storage import Storage
    from pipelines.training.reporting import TrainingReporter


class Ranks:
    """This process among those of the run.

    Args:
        cpu: leave an accelerator alone.
    """

    def __init__(self, cpu: bool) -> None:
        from accelerate import PartialState

        self._state: Any = PartialState(cpu=cpu)

    @property
    def main(self) -> bool:
        """Whether this process writes."""
        return bool(self._state.is_main_process)

    @property
    def rank(self) -> int:
        """Number of this process."""
        return int(self._state.process_index)

    def wait(self) -> None:
        """Waits until all are here."""
        self._state.wait_for_everyone()

    def reporter(self, reporter: TrainingReporter) -> TrainingReporter:
        """The reporter of the main process; silence for the others."""
        return reporter if self.main else SilentTraining()

    @contextmanager
    def writing(self, storage: Storage) -> Iterator[None]:
        """The right to write into a folder, held by the main process for all."""
        with only_writer(storage) if self.main else nullcontext():
            self.wait()
            yield
            self.wait()


def leave_ranks() -> None:
    """To be called at the end of a command: gloo's threads may abort an interpreter that exits with a group."""
    import sys

    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
