"""What the engines share: their settings, the attempts at a part, the number of workers on this machine."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from augment.errors import DeviceLostError
from pipelines.errors import DiskFullError, JobError, UserError
from pipelines.machine.limits import usable_cores, usable_memory

if TYPE_CHECKING:
    from pipelines.augmenting.stages import ShardMaker, Stage
    from pipelines.run_folder.records import Record

ATTEMPTS = 3
WORKER_BYTES = 1_500_000_000  # what a worker with a BERT-base takes: sets how many start on a small machine
GPU_CORES = 4  # CPU cores that a worker with a GPU keeps busy: tokenising, copying, writing
FEW = 8  # workers at most where the free memory cannot be told


@dataclass(frozen=True)
class EngineSettings:
    """How parts are run; nothing here changes a byte of the output, on machines of one kind.

    Args:
        engine: `auto` is Ray unless a single part is left.
        workers: how many at once; None for as many as cores, threads and memory allow.
        threads: CPU threads of each.
        gpu: whether each worker takes a GPU.
        address: of a Ray cluster; None joins RAY_ADDRESS or starts one on this machine.
        mixed_hardware: whether a model may compute on several kinds of hardware, whose last digits differ.
    """

    engine: str = "auto"
    workers: int | None = None
    threads: int = 1
    gpu: bool = False
    address: str | None = None
    mixed_hardware: bool = False

    @property
    def joins_cluster(self) -> bool:
        """Whether Ray's workers may run on other machines than this one."""
        return self.engine != "local" and bool(self.address or os.environ.get("RAY_ADDRESS"))


@dataclass(frozen=True)
class Failure:
    """A part that could not be made.

    Args:
        part: its number.
        reason: why, in a line.
        disk_full: whether no space is left, so that no other part can be made either.
    """

    part: int
    reason: str
    disk_full: bool = False


OnDone = Callable[["Record | Failure"], None]


def attempt(worker: ShardMaker, stage: Stage, part: int, expendable: bool = False) -> Record | Failure:
    """Makes one part, more than once if it fails; every failure leaves its own log.

    Args:
        worker: of the stage.
        stage: the stage.
        part: the part's number.
        expendable: whether this process may be ended: it is when its device is lost, and the engine's next process
            tries again.

    Returns:
        Its record, or why there is none. A user's mistake and a full disk are not tried again.

    Raises:
        JobError: the device is lost, and this process must not be ended.
    """
    reason = ""
    for number in range(1, ATTEMPTS + 1):
        try:
            return worker.work(part)
        except DiskFullError as error:
            return Failure(part, str(error), disk_full=True)
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            write_log(stage, f"{part:05d}", number, traceback.format_exc())
            if isinstance(error, DeviceLostError):
                if expendable:
                    os._exit(1)  # an exception would be sent to the driver and leave the process as it is
                raise JobError(str(error)) from error
    return Failure(part, reason)


class RemoteWorker:
    """A stage's worker in a process of its own, which may be ended: built for the first part, kept for the others.

    Args:
        stage: what to run.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._worker: ShardMaker | None = None

    def work(self, part: int) -> Record | Failure | UserError:
        """Makes a part.

        Args:
            part: its number.

        Returns:
            Its record, why there is none, or the user's mistake that keeps the worker from being built.
        """
        try:
            self._worker = self._worker or self._stage.make_worker()
        except (UserError, ValueError) as error:
            return UserError(str(error))
        except Exception as error:
            write_log(self._stage, f"{part:05d}", 0, traceback.format_exc())
            return Failure(part, f"{type(error).__name__}: {error}")
        return attempt(self._worker, self._stage, part, expendable=True)


def write_log(stage: Stage, of: str, number: int, text: str) -> None:
    """Keeps a text under logs/; a log that cannot be written is no reason to stop.

    Args:
        stage: the stage it came from.
        of: what the text is about: a part's number, `ray` or `workers`.
        number: of the attempt; 0 where there are no attempts.
        text: such as the traceback of a failed attempt.
    """
    from pipelines.run_folder.storage import Storage  # here, since it needs pyarrow, which takes long to import

    name = f"logs/{stage.name}-{of}-{time.time_ns()}-{socket.gethostname()}-{os.getpid()}-try{number}.txt"
    try:
        Storage(stage.job.root).write_bytes(name, text.encode())
    except (JobError, OSError):
        return


def worker_count(settings: EngineSettings, parts: int) -> int:
    """How many workers to run on this machine.

    Args:
        settings: workers, threads and gpu are read.
        parts: parts that are left.
    """
    if settings.workers is not None:
        return min(settings.workers, parts)
    if settings.gpu:
        import torch

        return max(1, min(torch.cuda.device_count(), parts))
    free = usable_memory()
    by_memory = FEW if free is None else free // WORKER_BYTES
    return max(1, min(usable_cores() // settings.threads, by_memory, parts))
