"""The command line on a made-up device: parts overlap, each batch takes long; leases are looked at often."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from typing import Any

from augment.masked_lm import MaskedLM
from pipelines.augmenting.stages import Stage
from pipelines.cli import main
from pipelines.run_folder import lease

BATCH_SECONDS = 1.5  # four of them a part

start = MaskedLM.start


def slow(self: MaskedLM, *given: Any) -> Any:
    """A batch that a device takes its time for."""
    time.sleep(BATCH_SECONDS)
    return start(self, *given)


def no_locks(*_: object) -> None:
    """A file system without locks."""
    raise OSError(errno.ENOSYS, "as told")


Stage.overlaps = property(lambda stage: stage.computes)  # type: ignore[assignment]
MaskedLM.start = slow  # type: ignore[method-assign]
if os.environ.get("LEASED"):
    fcntl.flock = no_locks  # type: ignore[assignment]
    for name in ("REFRESH_EVERY", "RETRY_EVERY", "SETTLE", "LOOK_EVERY"):
        setattr(lease, name, 0.05)
main()
