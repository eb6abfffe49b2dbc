"""Several processes under torchrun: one of them writes, the others wait for it."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from pipelines.errors import JobError, UserError
from pipelines.reporting import Reporter, Silent
from pipelines.run_folder.lock import only_writer, refuse_if_held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.run_folder.storage import Storage

LOOK_EVERY, SAY_EVERY = 1.0, 60.0  # seconds


def processes() -> int:
    """Processes of the run, as torchrun tells them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class Ranks:
    """This process among those of the run.

    Args:
        cpu: leave an accelerator alone.

    Attributes:
        main: whether this process writes.
        rank: its number.
        speaks: whether it says what is waited for: one on a machine does, where the main process does not.
        wait: returns once all are here.
    """

    def __init__(self, cpu: bool) -> None:
        from accelerate import PartialState

        state: Any = PartialState(cpu=cpu)
        self.main, self.rank = bool(state.is_main_process), int(state.process_index)
        self.speaks = self.rank == 1 or bool(state.is_local_main_process)
        self.wait: Callable[[], None] = state.wait_for_everyone

    def reporter(self, reporter: Reporter) -> Reporter:
        """The reporter of the main process; silence for the others."""
        return reporter if self.main else Silent()

    @contextmanager
    def writing(self, storage: Storage, reporter: Reporter) -> Iterator[None]:
        """The right to write into a folder, held by the main process for all.

        Args:
            storage: the folder.
            reporter: is told if another job's lease has to lapse first.
        """
        with only_writer(storage, reporter.message) if self.main else nullcontext():
            self.wait()
            yield
            self.wait()


def wait_for_main(
    storage: Storage, ready: Callable[[Storage], bool], what: str, ranks: Ranks, reporter: Reporter
) -> None:
    """Waits for what the main process writes, for as long as it takes: a barrier would give up.

    Args:
        storage: the folder that the main process holds.
        ready: whether it is there.
        what: is waited for, for messages.
        ranks: this process.
        reporter: of this process; is told once a minute what is waited for.

    Raises:
        JobError: the main process is gone, or writes somewhere else.
    """
    said = time.monotonic()
    while not ready(storage):
        if not _is_held(storage) and not ready(storage):
            raise JobError(
                f"{storage.display()}: expected the first process to write {what}, found nobody at work there; see "
                "what it said, and run the same command again. On several machines all must share the folder of --out"
            )
        if ranks.speaks and time.monotonic() - said >= SAY_EVERY:
            said = time.monotonic()
            reporter.message(f"process {ranks.rank}: waiting for the first process to write {what}")
        time.sleep(LOOK_EVERY)


def _is_held(storage: Storage) -> bool:
    """Whether a process holds the folder's lock."""
    try:
        refuse_if_held(storage)
    except UserError:
        return True
    return False


def leave_ranks() -> None:
    """To be called at the end of a command: gloo's threads may abort an interpreter that exits with a group."""
    import sys

    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
