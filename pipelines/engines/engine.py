"""What the engines share: their settings, the attempts at a part, the number of workers on this machine."""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

from augment.errors import DeviceLostError
from pipelines.errors import DiskFullError, JobError, UserError
from pipelines.machine.limits import usable_cores, usable_memory
from pipelines.run_folder.lease import ALARM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipelines.augmenting.stages import ShardMaker, Stage
    from pipelines.engines.together import Waiting
    from pipelines.run_folder.records import Record

ATTEMPTS = 3
WORKER_BYTES = 1_500_000_000  # what a worker with a BERT-base takes: sets how many start on a small machine
GPU_CORES = 4  # CPU cores that a worker with a GPU keeps busy: tokenising, copying, writing
AT_ONCE = 3  # parts a worker has in hand where a device computes: one is read, one on the device, one written
PART_THREAD = "part"  # what the names of threads that make parts begin with
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
        overlaps: whether a worker reads and writes other parts while its device computes one.
    """

    engine: str = "auto"
    workers: int | None = None
    threads: int = 1
    gpu: bool = False
    address: str | None = None
    mixed_hardware: bool = False
    overlaps: bool = False

    @property
    def at_once(self) -> int:
        """Parts that a worker has in hand."""
        return AT_ONCE if self.overlaps else 1

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


def attempts(worker: ShardMaker, stage: Stage, parts: Sequence[int], at_once: int, on_done: OnDone) -> Waiting:
    """Makes parts in this process, in threads where several are in hand.

    Where the caller stops, or is stopped, the parts in hand are left as they are: nothing more of them is published,
    and nobody waits for their threads (`pipelines.cli.app` ends the process).

    Args:
        worker: as for `attempt`; it sees to it that its threads do not get in each other's way.
        stage: the stage.
        parts: their numbers.
        at_once: how many are in hand.
        on_done: called with what came of each, in order of completion.

    Yields:
        Those in hand.
    """
    if at_once == 1 or len(parts) == 1:
        for part in parts:
            on_done(attempt(worker, stage, part))
        return
    pool = ThreadPoolExecutor(at_once, PART_THREAD)
    with deaf_to_ctrl_c():  # or they would take a signal that is kept from the main thread for a moment
        making = [pool.submit(attempt, worker, stage, part) for part in parts]
    try:
        while making:
            yield list(islice(making, at_once))  # they are begun in order
            done = [one for one in making if one.done()]
            making = [one for one in making if one not in done]
            for one in done:
                on_done(one.result())
    except BaseException:
        worker.leave()
        pool.shutdown(wait=False, cancel_futures=True)
        raise


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Blocks Ctrl-C while processes start: they inherit the mask and so print no traceback while they still import.

    The alarm of a lost lease is blocked, too: the pool that it ends would not know a process that is half started.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, ALARM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class RemoteWorker:
    """A stage's worker in a process of its own, which may be ended: built for the first part, kept for the others.

    Args:
        stage: what to run.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._worker: ShardMaker | None = None
        self._building = Lock()

    def work(self, part: int) -> Record | Failure | UserError:
        """Makes a part; several threads may ask for one each.

        Args:
            part: its number.

        Returns:
            Its record or why there is none; or the user's mistake that keeps the worker from being built.
        """
        try:
            with self._building:
                worker = self._worker = self._worker or self._built()
        except (UserError, ValueError) as error:
            return UserError(str(error))
        except DiskFullError as error:
            return Failure(part, str(error), disk_full=True)
        except Exception as error:
            write_log(self.stage, f"{part:05d}", 0, traceback.format_exc())
            return Failure(part, f"{type(error).__name__}: {error}")
        return attempt(worker, self.stage, part, expendable=True)

    def _built(self) -> ShardMaker:
        worker = self.stage.make_worker()
        gc.collect()
        gc.freeze()  # models, vocabulary and libraries: hundreds of thousands of objects that stay
        return worker


def published(stage: Stage, part: int) -> Record | None:
    """The record of a part whose worker died after it was made, or made another one meanwhile.

    Its hash is compared, for one that is to be made again has a record, too.

    Args:
        stage: the stage.
        part: the part's number.
    """
    from pipelines.run_folder.records import read_record  # here, like Storage below
    from pipelines.run_folder.storage import Storage

    return read_record(Storage(stage.job.root), stage.names, part, stage.settings_hash, verify=True)


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


def worker_count(settings: EngineSettings, parts: int, busy: int = 0) -> int:
    """How many workers to run on this machine.

    Args:
        settings: workers, threads and gpu are read.
        parts: parts that are left.
        busy: cores that others keep busy.
    """
    if settings.workers is not None:
        return min(settings.workers, parts)
    if settings.gpu:
        import torch

        return max(1, min(torch.cuda.device_count(), parts))
    free = usable_memory()
    by_memory = FEW if free is None else free // WORKER_BYTES
    return max(1, min((usable_cores() - busy) // settings.threads, by_memory, parts))
