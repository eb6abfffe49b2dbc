"""The command line on a made-up device: parts overlap, each batch takes long; leases are looked at often.

With BESIDE set, one worker of this process finds candidates, as with one card, and others draw beside it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from typing import Any

import pipelines.engines
from augment.masked_lm import MaskedLM
from pipelines.augmenting.stages import Stage
from pipelines.cli import main
from pipelines.engines import EngineSettings, worker_count
from pipelines.run_folder import lease

BATCH_SECONDS = 1.5  # four of them a part

start = MaskedLM.start


def slow(self: MaskedLM, *given: Any) -> Any:
    """A batch that a device takes its time for."""
    time.sleep(BATCH_SECONDS)
    return start(self, *given)


def one_card(settings: EngineSettings, *given: int) -> int:
    """Workers of a machine with one card."""
    return 1 if settings.overlaps else worker_count(settings, *given)


def no_locks(*_: object) -> None:
    """A file system without locks."""
    raise OSError(errno.ENOSYS, "as told")


if __name__ == "__main__":  # not in the processes that draw
    Stage.overlaps = property(lambda stage: stage.computes)  # type: ignore[assignment]
    MaskedLM.start = slow  # type: ignore[method-assign]
    if os.environ.get("BESIDE"):
        pipelines.engines.worker_count = one_card
    if os.environ.get("LEASED"):
        fcntl.flock = no_locks  # type: ignore[assignment]
        for name in ("REFRESH_EVERY", "RETRY_EVERY", "SETTLE", "LOOK_EVERY"):
            setattr(lease, name, 0.05)
    main()
