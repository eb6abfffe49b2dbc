"""The job: tasks, storage, engines, stages and the command line; in Python `run`, which is `tinyaug run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.errors import JobError, UserError

if TYPE_CHECKING:
    from pipelines.whole_run.in_python import Finished, run

__all__ = ["Finished", "JobError", "UserError", "run"]


def __getattr__(name: str) -> Any:
    """Loads what runs on first use."""
    if name in __all__:
        from pipelines.hidden import refuse_hidden

        refuse_hidden()
        from pipelines.whole_run import in_python

        return getattr(in_python, name)
    raise AttributeError(f"module 'pipelines' has no attribute {name!r}")
