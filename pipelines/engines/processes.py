"""The local engine with several workers: spawned processes, replaced when one is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from pipelines.engines.engine import (
    AT_ONCE,
    ATTEMPTS,
    EngineSettings,
    Failure,
    OnDone,
    RemoteWorker,
    published,
    worker_count,
    write_log,
)
from pipelines.errors import UserError
from pipelines.machine.devices import gpu_count, take_gpu, visible_gpus
from pipelines.run_folder.lease import ALARM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.sharedctypes import Synchronized

    from pipelines.augmenting.stages import Stage
    from pipelines.run_folder.records import Record

END_WAIT = 2.0  # seconds until a process that was killed is gone; one that waits for a disk may take longer

Results = list["Record | Failure | UserError"]

_worker: RemoteWorker | None = None
_threads = ThreadPoolExecutor(AT_ONCE)  # of a worker that has several parts in hand
_in_hand: set[Future[Record | Failure | UserError]] = set()


def run_in_processes(stage: Stage, parts: list[int], settings: EngineSettings, on_done: OnDone) -> None:
    """Runs parts in several processes of this machine.

    A killed process ends the others: finished parts stand, those in flight are tried again in new processes. Before
    its last attempt a part is run by one worker alone, so that one which kills its worker takes no other with it.
    With `gpu` each worker sees one of the machine's GPUs alone.

    Args:
        stage: what to run.
        parts: numbers of the parts.
        settings: workers, threads, gpu and overlaps are read.
        on_done: called with each part's record or failure.
    """
    left, breaks = list(parts), dict.fromkeys(parts, 0)

    def settled(done: Record | Failure) -> None:
        left.remove(done.part)
        on_done(done)

    spawning = multiprocessing.get_context("spawn")
    gpus = visible_gpus(os.environ, gpu_count()) if settings.gpu else []
    while left:
        suspects = [part for part in left if breaks[part] == ATTEMPTS - 1]
        started = spawning.Value("i", 0)  # a killed worker's GPU is free again: new ones count anew
        start = (stage, os.getpid(), gpus, started)
        workers = 1 if suspects else worker_count(settings, len(left))
        pools = [ProcessPoolExecutor(1, spawning, _start, start) for _ in range(workers)]
        try:
            at_once = 1 if suspects else settings.at_once
            in_flight = _Round(pools, suspects or list(left), at_once).run(settled)
        except BaseException:
            _kill(pools)
            raise
        if in_flight:
            _kill(pools)
            numbers = ", ".join(map(str, in_flight))
            text = f"a worker died (was it killed, or short of memory?) while parts {numbers} were at work\n"
            write_log(stage, "workers", max(breaks[part] for part in in_flight) + 1, text)
        for pool in pools:
            pool.shutdown()
        for part in in_flight:
            if (record := published(stage, part)) is not None:
                settled(record)
                continue
            breaks[part] += 1
            if breaks[part] == ATTEMPTS:
                settled(Failure(part, f"its worker died {ATTEMPTS} times; see the machine's log for what killed it"))


class _Round:
    """Gives parts to processes till all are done or a process dies; each has up to `at_once` in its hand.

    Args:
        pools: one process each.
        parts: to be done.
        at_once: see `EngineSettings`.
    """

    def __init__(self, pools: list[ProcessPoolExecutor], parts: list[int], at_once: int) -> None:
        self._waiting, self._at_once = iter(parts), at_once
        self._in_hand: dict[ProcessPoolExecutor, set[int]] = {pool: set() for pool in pools}
        self._asked: dict[Future[Results], ProcessPoolExecutor] = {}

    def run(self, on_done: OnDone) -> list[int]:
        """Runs; `on_done` is called with each part's record or failure. Gives the parts in flight when one died."""
        try:
            for pool in self._in_hand:
                self._ask(pool)
            while self._asked:
                done = wait(self._asked, return_when=FIRST_COMPLETED).done
                for future in sorted(done, key=lambda future: future.exception() is not None):  # what died comes last
                    self._take(self._asked.pop(future), future.result(), on_done)
        except BrokenProcessPool:
            return sorted(chain.from_iterable(self._in_hand.values()))
        return []

    def _ask(self, pool: ProcessPoolExecutor) -> None:
        part = next(self._waiting, None)
        self._in_hand[pool] |= set() if part is None else {part}
        if self._in_hand[pool]:
            with _deaf_to_ctrl_c():
                self._asked[pool.submit(_work, part, self._at_once)] = pool

    def _take(self, pool: ProcessPoolExecutor, results: Results, on_done: OnDone) -> None:
        for result in results:
            if isinstance(result, UserError):
                raise result
            self._in_hand[pool].remove(result.part)
            on_done(result)
        self._ask(pool)


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


def _work(part: int | None, at_once: int) -> Results:
    """Takes a part in hand; None for the last ones there. What is done of those in hand, once another has room."""
    assert _worker is not None
    if at_once == 1:
        return [] if part is None else [_worker.work(part)]
    if part is not None:
        _in_hand.add(_threads.submit(_worker.work, part))
        if len(_in_hand) < at_once:
            return []
    done = wait(_in_hand, return_when=FIRST_COMPLETED).done
    _in_hand.difference_update(done)
    return [made.result() for made in done]


def _kill(pools: list[ProcessPoolExecutor]) -> None:
    """Kills the processes, and sees them gone: one that is in the middle of a write may end it first."""
    processes = [process for pool in pools for process in (pool._processes or {}).values()]
    for process in processes:
        process.kill()
    for pool in pools:
        pool.shutdown(wait=False, cancel_futures=True)
    until = time.monotonic() + END_WAIT
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
