"""The Ray engine: Ray Data over part numbers, with actors that write their own shards.

Only numbers go in and only records come out, so Ray's own durability and output naming are not needed; a part is a
block, Ray's unit of retry. What is missing at the end is reported as failed.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.engines.engine import GPU_CORES, EngineSettings, Failure, OnDone, RemoteWorker, published, write_log
from pipelines.engines.ray_start import ended_with, start_ray
from pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np

    from pipelines.augmenting.stages import Stage

TASK_RETRIES = 2
USUAL = (  # what Ray says in every run, about settings that we chose
    "Progress bars disabled",
    "has constructor arguments in the object store and max_restarts > 0",
)


@dataclass(frozen=True)
class Pool:
    """The actors of a stage.

    Args:
        initial: how many there are from the start.
        most: how many there may be once the cluster has grown.
        cores: CPU cores that each one reserves: its threads, or GPU_CORES, fewer where the cluster has fewer a GPU.
        gpus: GPUs that each one reserves, 0 or 1.
    """

    initial: int
    most: int
    cores: int
    gpus: int


class RayWorker(RemoteWorker):
    """The actor; it builds its worker at its first part: Ray would restart for ever an actor that dies at its start."""

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        """Makes the part of a batch; gives what came of it, pickled as text."""
        (part,) = batch["part"].tolist()
        # Where another part in hand killed the actor, this one may have been published before.
        made = published(self.stage, part) or self.work(part)
        return {"result": [pickle.dumps(made, 0).decode("latin-1")]}


def run_on_ray(stage: Stage, parts: list[int], settings: EngineSettings, on_done: OnDone) -> None:
    """Runs parts on a Ray cluster, joined or started here.

    Args:
        stage: what to run.
        parts: numbers of the parts.
        settings: workers, threads, gpu and address are read.
        on_done: called with each part's record or failure.

    Raises:
        UserError: Ray is not installed, the cluster cannot be reached, or the models cannot be used there.
        JobError: the raylet that was started here ended.
    """

    def keep(text: str) -> None:
        if unusual := [line for line in text.splitlines() if line.strip() and not any(one in line for one in USUAL)]:
            write_log(stage, "ray", 0, "\n".join(unusual) + "\n")

    with native_stderr_to(keep):
        _run(stage, parts, settings, on_done)


def _run(stage: Stage, parts: list[int], settings: EngineSettings, on_done: OnDone) -> None:
    ray, raylet = start_ray(settings, len(parts))
    left = set(parts)
    try:
        with ended_with(raylet):
            for row in _dataset(ray, stage, parts, settings).iter_rows():
                done = pickle.loads(row["result"].encode("latin-1"))
                if isinstance(done, UserError):
                    raise done
                left.discard(done.part)
                on_done(done)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        for part in sorted(left):
            on_done(Failure(part, f"Ray: {reason}"))
        left.clear()
    finally:
        ray.shutdown()
    for part in sorted(left):
        on_done(Failure(part, f"its worker died {TASK_RETRIES + 1} times; see Ray's log of that node"))


def _dataset(ray: Any, stage: Stage, parts: list[int], settings: EngineSettings) -> Any:
    context = ray.data.DataContext.get_current()
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Ray would start one actor and add more only where tasks queue up at it, which the bound of one below rules out.
    context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    pool = actor_pool(nodes, settings, len(parts))
    blocks = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=len(parts))
    # Threads of an actor, and by default of Ray one of them at a time.
    threads = {"max_concurrency": settings.at_once} if settings.overlaps else {}
    with warnings.catch_warnings():
        # 2.60 has no other way to bound retries than these two arguments, which 2.64 will take away.
        warnings.simplefilter("ignore", DeprecationWarning)
        return blocks.map_batches(
            RayWorker,
            fn_constructor_args=[stage],
            batch_size=None,  # the block
            num_cpus=pool.cores,
            num_gpus=pool.gpus,
            compute=ray.data.ActorPoolStrategy(
                min_size=pool.initial,  # none is ended, and its models lost, while it waits for its next part
                max_size=pool.most,
                # A part that waits at a worker would die with it, though another part is to blame.
                max_tasks_in_flight_per_actor=settings.at_once,
                enable_true_multi_threading=settings.overlaps,
            ),
            max_restarts=-1,
            max_task_retries=TASK_RETRIES,
            **threads,
        )


def actor_pool(nodes: Sequence[Mapping[str, float]], settings: EngineSettings, parts: int) -> Pool:
    """How many actors a stage gets on a cluster, and what each one reserves.

    Args:
        nodes: resources of each node, by Ray's names.
        settings: workers, threads and gpu are read.
        parts: how many parts are left.

    Returns:
        All that fit now; as many as there are parts may follow on a cluster that grows. With `workers`, that many.
    """
    counts = [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]
    cores = settings.threads
    if settings.gpu:  # as many as the node with the fewest has for each GPU, so that no GPU is left without
        cores = max(1, min((cpus // gpus for cpus, gpus in counts if gpus), default=1))
        cores = min(GPU_CORES, cores)
    slots = sum(min(cpus // cores, gpus) if settings.gpu else cpus // cores for cpus, gpus in counts)
    wanted = min(slots if settings.workers is None else settings.workers, parts)
    most = parts if settings.workers is None else wanted
    return Pool(max(1, wanted), max(1, most), cores, int(settings.gpu))


@contextmanager
def native_stderr_to(log: Callable[[str], None]) -> Iterator[None]:
    """Sends what native code writes to file descriptor 2 into a log; Python's own stderr stays on the terminal.

    Ray's C++ half warns there, whatever Python's logging is set to; `ray_start` sends Ray's Python warnings there, too.

    Args:
        log: is given all of it at the end, if there was any.
    """
    sys.stderr.flush()
    python_stderr, terminal = sys.stderr, os.dup(2)
    with tempfile.TemporaryFile("w+b") as caught, os.fdopen(terminal, "w", buffering=1, errors="replace") as kept:
        os.dup2(caught.fileno(), 2)
        if _writes_to_descriptor_2(python_stderr):
            sys.stderr = kept
        try:
            yield
        finally:
            sys.stderr = python_stderr
            os.dup2(kept.fileno(), 2)
            caught.seek(0)
            text = caught.read().decode(errors="replace")
            if text.strip():
                log(text)


def _writes_to_descriptor_2(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
