"""A process that reads shards by another one, says so, and then does nothing; or hears two signals, and reads on."""

import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # what follows is not for the reading process, which imports this module
    from distill.shards import Position
    from tests.distill.data import open_stream

    shards, reading, *read_on = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of some shells start with it ignored
    heard: list[int] = []
    if read_on:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: heard.append(number))
    stream = open_stream(Path(shards), workers=1, pool_rows=32)
    batches = stream.batches(Position())
    next(batches)
    Path(reading).touch()
    if not read_on:
        time.sleep(600)
    while len(heard) < 2:
        time.sleep(0.01)
    rows = sum(len(batch) for _ in range(2) for batch in stream.batches(Position()))
    stream.close()
    print(sorted(heard) if rows == 2 * len(stream) else f"{rows} rows")
