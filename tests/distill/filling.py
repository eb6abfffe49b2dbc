"""A process that fills a cache, and is killed in the middle of a shard."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from distill import targets
from tests.distill.data import open_stream
from tests.distill.runs import tiny_pair, tiny_targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distill.shards import Batch, Position, ShardStream

BATCHES = 9  # of 13


class Killed:
    """A stream that kills its process.

    Args:
        stream: it reads.
    """

    def __init__(self, stream: ShardStream) -> None:
        self._stream = stream

    def batches(self, start: Position) -> Iterator[Batch]:
        """Its first batches."""
        for number, batch in enumerate(self._stream.batches(start)):
            if number == BATCHES:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch


if __name__ == "__main__":
    data, folder = map(Path, sys.argv[1:])
    opened, teacher = open_stream(data), tiny_pair()[1]
    targets.FLUSH_SECONDS = 0
    targets.fill_cache(tiny_targets(teacher, opened, folder), Killed(opened))
