"""Engines: run a stage's parts here, in processes, or on Ray. An engine knows nothing of what a part is."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pipelines.engines.engine import EngineSettings, Failure, OnDone, attempts, worker_count

if TYPE_CHECKING:
    from pipelines.augmenting.stages import Stage

__all__ = ["EngineSettings", "Failure", "OnDone", "run_parts", "worker_count"]


def run_parts(stage: Stage, parts: list[int], settings: EngineSettings, on_done: OnDone) -> None:
    """Runs the parts of a stage.

    Args:
        stage: what to run.
        parts: numbers of the parts that are left; no engine starts if there are none.
        settings: how.
        on_done: called in this process with each part's record or failure, in order of completion.

    Raises:
        UserError: models that cannot be used, a Ray cluster that cannot be reached.
    """
    if not parts:
        return
    if settings.engine == "ray" or (settings.engine == "auto" and len(parts) > 1):
        from pipelines.engines.on_ray import run_on_ray

        run_on_ray(stage, parts, settings, on_done)
    elif worker_count(settings, len(parts)) > 1:
        from pipelines.engines.processes import run_in_processes

        run_in_processes(stage, parts, settings, on_done)
    else:
        with closing(attempts(stage.make_worker(), stage, parts, settings.at_once)) as made:
            for done in made:
                on_done(done)
