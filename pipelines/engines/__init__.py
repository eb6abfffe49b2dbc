"""Engines: run a stage's parts here, in processes, or on Ray. An engine knows nothing of what a part is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.engines.engine import GPU_CORES, EngineSettings, Failure, OnDone, attempts, worker_count
from pipelines.engines.together import Follower, run_together

if TYPE_CHECKING:
    from pipelines.augmenting.stages import Stage

__all__ = ["EngineSettings", "Failure", "Follower", "OnDone", "run_parts", "worker_count"]


def run_parts(
    stage: Stage, parts: list[int], settings: EngineSettings, on_done: OnDone, follower: Follower | None = None
) -> None:
    """Runs the parts of a stage.

    Args:
        stage: what to run.
        parts: numbers of the parts that are left; no engine starts if there are none.
        settings: how.
        on_done: called in this process with each part's record or failure, in order of completion.
        follower: what runs beside it, in processes of its own; only with the local engine.

    Raises:
        UserError: models that cannot be used, a Ray cluster that cannot be reached.
    """
    if not parts:
        return
    if settings.engine == "ray" or (settings.engine == "auto" and len(parts) > 1):
        from pipelines.engines.on_ray import run_on_ray

        run_on_ray(stage, parts, settings, on_done)
        return
    from pipelines.engines.processes import in_processes

    workers = worker_count(settings, len(parts))
    if workers > 1:
        runs = [in_processes(stage, parts, settings, on_done)]
    else:
        runs = [attempts(stage.make_worker(), stage, parts, settings.at_once, on_done)]
    if follower is not None:
        given = (follower.stage, follower.parts, follower.settings, follower.on_done)
        runs.append(in_processes(*given, follower, GPU_CORES * workers))
    run_together(*runs)
