"""The streaming loader alone: rows a second, and memory over a set of any size."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.reading import open_shards
from distill.shards import Position, ShardStream

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from distill.reading import Columns
    from distill.shards import StreamSettings


def loader(folder: Path, columns: Columns, tokenizer: Tokenizer, settings: StreamSettings) -> ShardStream:
    """A stream of a folder's texts."""
    pad = tokenizer.token_to_id("[PAD]")
    return ShardStream(open_shards(str(folder), columns), columns, tokenizer.to_str(), pad, settings)


def loader_rate(stream: ShardStream, most: int) -> float:
    """Examples a second over the first `most` rows of an epoch, the start of the worker included."""
    rows, start = 0, time.perf_counter()
    for batch in stream.batches(Position()):
        rows += len(batch)
        if rows >= most:
            break
    seconds = time.perf_counter() - start
    stream.close()
    return rows / seconds


def later_rate(stream: ShardStream, most: int) -> float:
    """The same for rows that an earlier epoch has tokenised and kept."""
    with tempfile.TemporaryDirectory() as place:
        kept = replace(stream, kept=Path(place))
        loader_rate(kept, most)
        return loader_rate(kept, most)


def memory_over(
    folder: Path, columns: Columns, tokenizer: Tokenizer, settings: StreamSettings, rows: int
) -> dict[str, Any]:
    """Streams an epoch of at least `rows` rows, the shards of `folder` over and over.

    Returns:
        Rows, rows a second, padding share, and the highest resident bytes of this process and of its worker.
    """
    with tempfile.TemporaryDirectory() as place:
        shards = sorted(folder.glob("*.parquet"))
        copies = -(-rows // open_shards(str(folder), columns).rows)
        for copy in range(copies):
            for shard in shards:
                (Path(place) / f"{copy:05d}-{shard.name}").symlink_to(shard.resolve())
        stream = loader(Path(place), columns, tokenizer, settings)
        seen = tokens = padded = 0
        start = time.perf_counter()
        for batch in stream.batches(Position()):
            seen += len(batch)
            tokens += int(batch.mask.sum())
            padded += batch.ids.size
        seconds = time.perf_counter() - start
        stream.close()
    own, worker = (peak_bytes(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "rows": seen,
        "rows_per_second": seen / seconds,
        "padding_share": 1 - tokens / padded,
        "peak_rss": {"process": own, "worker": worker, "both": own + worker},
    }


def peak_bytes(who: int = resource.RUSAGE_SELF) -> int:
    """The highest resident size of this process, or of the largest of its children that ended."""
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
