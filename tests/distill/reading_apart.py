"""A process that reads shards by another one, says so, and then does nothing."""

import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # what follows is not for the reading process, which imports this module
    from distill.shards import Position
    from tests.distill.data import open_stream

    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of some shells start with it ignored
    shards, reading = map(Path, sys.argv[1:])
    stream = open_stream(shards, workers=1)
    next(stream.batches(Position()))
    reading.touch()
    time.sleep(600)
