"""Engines: run a stage's parts here, in processes, or on Ray. An engine knows nothing of what a part is."""

from pipelines.engines.engine import EngineSettings, Failure, OnDone, worker_count
from pipelines.engines.run import run_parts

__all__ = ["EngineSettings", "Failure", "OnDone", "run_parts", "worker_count"]
