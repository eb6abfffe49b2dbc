"""The Ray engine: Ray Data over part numbers, with actors that write their own shards.

Only numbers go in and only records come out, so Ray's own durability and output naming are not needed; a part is a
block, Ray's unit of retry. What is missing at the end is reported as failed.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipelines.engines.engine import EngineSettings, Failure, OnDone, attempt, write_log
from pipelines.engines.quiet import native_stderr_to
from pipelines.engines.ray_start import ended_with, start_ray
from pipelines.errors import UserError
from pipelines.records import Record

if TYPE_CHECKING:
    import numpy as np

    from pipelines.job import Stage

TASK_RETRIES = 2


class RayWorker:
    """The actor: builds the stage's worker once, then does one part a call.

    Args:
        stage: what to run.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._mistake: str | None = None
        self._failure: str | None = None
        # An actor that dies while it is built is built again for ever: what went wrong is handed to the driver.
        try:
            self._worker = stage.make_worker()
        except (UserError, ValueError) as error:
            self._mistake = str(error)
        except Exception as error:
            self._failure = f"{type(error).__name__}: {error}"

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        """Makes the parts of a batch and returns their records as JSON."""
        return {"result": [json.dumps(self._one(int(part))) for part in batch["part"]]}

    def _one(self, part: int) -> dict[str, Any]:
        if self._mistake is not None:
            return {"mistake": self._mistake}
        if self._failure is not None:
            return {"failure": self._failure, "part": part}
        done = attempt(self._worker, self._stage, part, expendable=True)
        return {"failure": done.reason, "part": part} if isinstance(done, Failure) else {"record": asdict(done)}


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
    failed: list[int] = []

    def noticed(done: Record | Failure) -> None:
        if isinstance(done, Failure):
            failed.append(done.part)
        on_done(done)

    def keep(text: str) -> None:
        if failed:  # Ray has always something to say; it is worth a log only if it may explain something
            write_log(stage, failed[0], 0, text)

    with native_stderr_to(keep):
        _run(stage, parts, settings, noticed)


def _run(stage: Stage, parts: list[int], settings: EngineSettings, on_done: OnDone) -> None:
    ray, raylet = start_ray(settings, len(parts))
    left = set(parts)
    try:
        with ended_with(raylet):
            for row in _dataset(ray, stage, parts, settings).iter_rows():
                result = json.loads(row["result"])
                if "mistake" in result:
                    raise UserError(result["mistake"])
                done = Failure(result["part"], result["failure"]) if "failure" in result else Record(**result["record"])
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
    workers = _cluster_workers(ray, settings, len(parts))
    blocks = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=len(parts))
    with warnings.catch_warnings():
        # 2.60 has no other way to bound retries than these two arguments, which 2.64 will take away.
        warnings.simplefilter("ignore", DeprecationWarning)
        return blocks.map_batches(
            RayWorker,
            fn_constructor_args=[stage],
            batch_size=1,
            num_cpus=settings.threads,
            num_gpus=1 if settings.gpu else 0,
            # A part that waits at a worker would die with it, though another part is to blame.
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, max_tasks_in_flight_per_actor=1),
            max_restarts=-1,
            max_task_retries=TASK_RETRIES,
        )


def _cluster_workers(ray: Any, settings: EngineSettings, parts: int) -> int:
    if settings.workers is not None:
        return min(settings.workers, parts)
    resources = ray.cluster_resources()
    slots = resources.get("GPU", 0) if settings.gpu else resources.get("CPU", 1) // settings.threads
    return max(1, min(int(slots), parts))
