"""The local engine with several workers: spawned processes, replaced when one is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import TYPE_CHECKING

from pipelines.engines.engine import (
    AT_ONCE,
    ATTEMPTS,
    EngineSettings,
    Failure,
    OnDone,
    RemoteWorker,
    deaf_to_ctrl_c,
    published,
    worker_count,
    write_log,
)
from pipelines.errors import UserError
from pipelines.machine.devices import gpu_count, take_gpu, visible_gpus

if TYPE_CHECKING:
    from collections.abc import Collection, Generator
    from multiprocessing.sharedctypes import Synchronized

    from pipelines.augmenting.stages import Stage
    from pipelines.engines.together import Follower, Waiting
    from pipelines.run_folder.records import Record

END_WAIT = 2.0  # seconds until a process that was killed is gone; one that waits for a disk may take longer

Results = list["Record | Failure | UserError"]

_worker: RemoteWorker | None = None
_threads = ThreadPoolExecutor(AT_ONCE)  # of a worker that has several parts in hand
_in_hand: set[Future[Record | Failure | UserError]] = set()


def in_processes(
    stage: Stage,
    parts: list[int],
    settings: EngineSettings,
    on_done: OnDone,
    follower: Follower | None = None,
    busy: int = 0,
) -> Waiting:
    """Runs parts in several processes of this machine.

    A killed process ends the others: finished parts stand, those in flight are tried again in new processes. Before
    its last attempt a part is run by one worker alone, so that one which kills its worker takes no other with it.
    With `gpu` each worker sees one of the machine's GPUs alone.

    Args:
        stage: what to run.
        parts: numbers of the parts.
        settings: workers, threads, gpu and overlaps are read.
        on_done: called with each part's record or failure.
        follower: the stage, where it runs beside another one.
        busy: cores that the other one keeps busy.

    Yields:
        What is asked of the processes.
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
            few = worker_count(settings, workers, busy)
            in_flight = yield from _Round(pools, suspects or left, at_once, follower, few).run(settled)
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
        pools: one process each, started when it is first asked.
        parts: to be done.
        at_once: see `EngineSettings`.
        follower: says which parts are ready; None where all are.
        few: how many processes are asked while a follower is not alone.
    """

    def __init__(
        self, pools: list[ProcessPoolExecutor], parts: list[int], at_once: int, follower: Follower | None, few: int
    ) -> None:
        self._waiting, self._at_once, self._follower, self._few = deque(parts), at_once, follower, few
        self._in_hand: dict[ProcessPoolExecutor, set[int]] = {pool: set() for pool in pools}
        self._asked: dict[Future[Results], ProcessPoolExecutor] = {}

    def run(self, on_done: OnDone) -> Generator[Collection[Future[Results]], None, list[int]]:
        """Runs; `on_done` is called with each part's record or failure. Gives the parts in flight when one died."""
        try:
            while self._ask_idle() or self._waiting:
                yield self._asked
                done = [future for future in self._asked if future.done()]
                for future in sorted(done, key=lambda future: future.exception() is not None):  # what died comes last
                    self._take(self._asked.pop(future), future.result(), on_done)
        except BrokenProcessPool:
            return sorted(chain.from_iterable(self._in_hand.values()))
        return []

    def _ask_idle(self) -> bool:
        """Gives those that are idle something to do; says whether any is at work."""
        alone = self._follower is None or self._follower.alone()
        for pool in islice(self._in_hand, None if alone else self._few):
            if pool not in self._asked.values():
                self._ask(pool)
        return bool(self._asked)

    def _ask(self, pool: ProcessPoolExecutor) -> None:
        is_ready = self._waiting and (self._follower is None or self._follower.ready(self._waiting[0]))
        part = self._waiting.popleft() if is_ready else None
        self._in_hand[pool] |= set() if part is None else {part}
        if self._in_hand[pool]:
            with deaf_to_ctrl_c():
                self._asked[pool.submit(_work, part, self._at_once)] = pool

    def _take(self, pool: ProcessPoolExecutor, results: Results, on_done: OnDone) -> None:
        for result in results:
            if isinstance(result, UserError):
                raise result
            self._in_hand[pool].remove(result.part)
            on_done(result)


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
