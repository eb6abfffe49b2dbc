"""The local engine with several workers: spawned processes, replaced when one is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from pipelines.engines.engine import (
    ATTEMPTS,
    EngineSettings,
    Failure,
    OnDone,
    RemoteWorker,
    grouped,
    worker_count,
    write_log,
)
from pipelines.errors import UserError
from pipelines.machine.devices import gpu_count, take_gpu, visible_gpus
from pipelines.run_folder.lease import ALARM
from pipelines.run_folder.records import read_record
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.sharedctypes import Synchronized

    from pipelines.augmenting.stages import Stage
    from pipelines.run_folder.records import Record

_worker: RemoteWorker | None = None


def run_in_processes(stage: Stage, parts: list[int], settings: EngineSettings, on_done: OnDone) -> None:
    """Runs parts in several processes of this machine.

    A killed process breaks the pool: finished parts stand, those in flight are tried again in a new pool. Before
    its last attempt a part is run by one worker alone, so that one which kills its worker takes no other with it.
    With `gpu` each worker sees one of the machine's GPUs alone.

    Args:
        stage: what to run.
        parts: numbers of the parts.
        settings: workers, threads and gpu are read.
        on_done: called with each part's record or failure.
    """
    left, breaks = list(parts), dict.fromkeys(parts, 0)
    spawning = multiprocessing.get_context("spawn")
    gpus = visible_gpus(os.environ, gpu_count()) if settings.gpu else []
    while left:
        suspects = [part for part in left if breaks[part] == ATTEMPTS - 1]
        workers = 1 if suspects else worker_count(settings, len(left))
        started = spawning.Value("i", 0)  # a killed worker's GPU is free again: a new pool counts anew
        pool = ProcessPoolExecutor(workers, spawning, _start, (stage, os.getpid(), gpus, started))
        try:
            groups = [[part] for part in suspects] or grouped(left, settings, workers)
            in_flight = _run_pool(pool, workers, groups, left, on_done)
        except BaseException:
            _kill(pool)
            raise
        pool.shutdown(wait=not in_flight)
        if in_flight:
            numbers = ", ".join(map(str, in_flight))
            text = f"a worker died (was it killed, or short of memory?) while parts {numbers} were at work\n"
            write_log(stage, "workers", max(breaks[part] for part in in_flight) + 1, text)
        for part in in_flight:
            # A worker answers for a group at once: what it had finished of one when it died is known by its record.
            if (record := read_record(Storage(stage.job.root), stage.names, part, stage.settings_hash)) is not None:
                left.remove(part)
                on_done(record)
                continue
            breaks[part] += 1
            if breaks[part] == ATTEMPTS:
                left.remove(part)
                on_done(Failure(part, f"its worker died {ATTEMPTS} times; see the machine's log for what killed it"))


def _run_pool(
    pool: ProcessPoolExecutor, workers: int, groups: list[list[int]], left: list[int], on_done: OnDone
) -> list[int]:
    """Runs until all is done or a process dies; takes what is done out of `left`, returns what was in flight."""
    waiting = iter(groups)
    running: dict[Future[list[Record | Failure | UserError]], list[int]] = {}
    broken: list[int] = []
    try:
        while True:
            while len(running) < workers and (group := next(waiting, None)) is not None:
                with _deaf_to_ctrl_c():
                    running[pool.submit(_work, group)] = group
            if not running:
                return broken
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                group = running.pop(future)
                try:
                    results = future.result()
                except BrokenProcessPool:
                    broken += group
                    continue
                for result in results:
                    if isinstance(result, UserError):
                        raise result
                    left.remove(result.part)
                    on_done(result)
            if broken:
                return [*broken, *chain.from_iterable(running.values())]
    except BrokenProcessPool:  # raised by submit
        return [*broken, *chain.from_iterable(running.values())]


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Blocks Ctrl-C while processes start: they inherit the mask and so print no traceback while they still import.

    The alarm of a lost lease is blocked, too: the pool that it ends would not know a process that is half started.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, ALARM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(stage: Stage, parent: int, gpus: list[str], started: Synchronized[int]) -> None:
    """Prepares a new process: it takes its GPU, leaves Ctrl-C to its parent, and ends when the parent is gone."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with started.get_lock():
        number, started.value = started.value, started.value + 1
    take_gpu(number, gpus)
    _worker = RemoteWorker(stage)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work(parts: list[int]) -> list[Record | Failure | UserError]:
    assert _worker is not None
    return _worker.work(parts)


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)
