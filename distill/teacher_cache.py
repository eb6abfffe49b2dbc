"""The teacher cache on disk: written during the first epoch, then memory-mapped after sizes and digests are checked.

Each shard has, named by the first 16 digits of its sha256, one segment for each writing rank (`.bin`, records in
order of arrival, and `.idx`, one INDEX entry a record) and, once every row is there, a completion record (`.json`)
with sizes and digests. Only completed shards are read. `cache.json` holds the key.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from distill.behind import Behind
from distill.cache_folder import claim_cache, cut_to_whole, write_json
from distill.cache_format import INDEX, CacheKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BUFFER_BYTES = 32 << 20  # records held back before they are appended
OPEN_MAPS = 256  # memory maps kept; each holds a file descriptor
Pending = defaultdict[int, list[tuple[int, int, "NDArray[np.generic]"]]]  # of a shard: row, tokens, record
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CachedShard:
    """The places of the rows of a completed shard.

    Attributes:
        segments: paths of the records' files.
        segment: index into `segments` for each row.
        offset: first value of each row's record.
        tokens: tokens of each row.
    """

    segments: tuple[Path, ...]
    segment: NDArray[np.int16]
    offset: NDArray[np.int64]
    tokens: NDArray[np.int32]


@dataclass(eq=False, repr=False)
class TeacherCache:
    """Records of teacher outputs, by shard and row.

    Args:
        folder: made if needed.
        key: what decides the numbers.
        hashes: sha256 of each shard of the data set.
        rows: rows of each shard.
        rank: of this process; each rank appends to segments of its own.
        rebuild: empty a cache of another key instead of refusing it.

    Attributes:
        readable: of each shard, whether every row of it can be read.

    Raises:
        DistillError: the folder holds something else, or a cache of another key.
    """

    folder: Path
    key: CacheKey
    hashes: Sequence[str]
    rows: Sequence[int]
    rank: int = 0
    rebuild: bool = False

    def __post_init__(self) -> None:
        self.names = [digest[:16] for digest in self.hashes]
        claim_cache(self.folder, self.key, self.rebuild)
        self._pending: Pending = defaultdict(list)
        self._pending_bytes = 0
        self._writing = Behind("teacher cache")
        self._map = lru_cache(OPEN_MAPS)(self._mapped)
        self._shards: dict[int, CachedShard] = {}
        self._kept: dict[int, NDArray[np.bool_]] = {}
        self.readable = np.zeros(len(self.names), np.bool_)
        self._starts = np.cumsum([0, *self.rows])  # of each shard in the arrays of all rows
        together = 0 if self.key.kept.of_layers else int(self._starts[-1])
        self._logits = np.zeros((together, self.key.classes), self.key.dtype)
        self._tokens = np.zeros(together, np.int32)
        self.refresh()

    def refresh(self) -> None:
        """Takes in the shards that were completed meanwhile, checking sizes and digests; drops damaged ones."""
        for shard in range(len(self.names)):
            if shard not in self._shards and (found := self._load(shard)) is not None:
                self._shards[shard] = found
                if not self.key.kept.of_layers:
                    self._gather_logits(shard, found)
                self.readable[shard] = True

    def has(self, shard: int) -> bool:
        """Whether every row of the shard can be read."""
        return bool(self.readable[shard])

    def holds(self, shard: int, row: int) -> bool:
        """Whether a row need not be made: its shard is complete, or it was taken up."""
        return shard in self._shards or (shard in self._kept and bool(self._kept[shard][row]))

    @property
    def complete(self) -> bool:
        """Whether every shard can be read."""
        return len(self._shards) == len(self.names)

    def read(self, shard: int, row: int) -> tuple[int, NDArray[np.generic]]:
        """Tokens and record of a row of a completed shard."""
        found = self._shards[shard]
        tokens, offset = int(found.tokens[row]), int(found.offset[row])
        values = self._map(found.segments[found.segment[row]])
        return tokens, values[offset : offset + int(self.key.values(tokens))]

    def _mapped(self, path: Path) -> NDArray[np.generic]:
        """A segment's numbers; as an ordinary array, of which a slice costs a tenth of a memmap's."""
        return np.asarray(np.memmap(path, dtype=self.key.dtype, mode="r"))

    def read_logits(
        self, shards: NDArray[np.int32], rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.generic]]:
        """Tokens (B,) and logits (B, C) of rows of completed shards, from a cache of logits alone."""
        places = self._starts[shards] + rows
        return self._tokens[places], self._logits[places]

    def _gather_logits(self, shard: int, found: CachedShard) -> None:
        """Takes the logits of a shard, which are a few bytes a row, into the array of all rows."""
        own = slice(self._starts[shard], self._starts[shard + 1])
        self._tokens[own] = found.tokens
        for number, path in enumerate(found.segments):
            rows = np.flatnonzero(found.segment == number)
            values = np.fromfile(path, self.key.dtype)
            self._logits[own][rows] = values[found.offset[rows, None] + np.arange(self.key.classes)]

    def append(self, shard: int, row: int, tokens: int, record: NDArray[np.generic]) -> None:
        """Adds a row of a shard that is not complete, unless it was taken up; call flush before counting on it."""
        if self.holds(shard, row):
            return
        self._pending[shard].append((row, tokens, record))
        self._pending_bytes += record.nbytes
        if self._pending_bytes > BUFFER_BYTES:
            self.start_flush()

    def flush(self) -> None:
        """Writes buffered records and syncs them."""
        self.start_flush()()

    def start_flush(self) -> Callable[[], None]:
        """Has a thread do what `flush` does; what comes back waits for it, and raises what it raised."""
        pending, self._pending, self._pending_bytes = self._pending, defaultdict(list), 0
        if pending:
            self._writing.start(partial(self._write, pending))
        return self._writing.wait

    def close(self) -> None:
        """Waits for what is being written; buffered records are not."""
        self._writing.close()

    def _write(self, pending: Pending) -> None:
        """Records first, so no index entry comes before its record."""
        for shard, rows in pending.items():
            records, index = self._segment(shard)
            width = np.dtype(self.key.dtype).itemsize
            start = records.stat().st_size // width if records.exists() else 0
            sizes = [record.size for _, _, record in rows]
            entries = np.empty(len(rows), INDEX)
            entries["row"] = [row for row, _, _ in rows]
            entries["tokens"] = [tokens for _, tokens, _ in rows]
            entries["offset"] = start + np.concatenate([[0], np.cumsum(sizes[:-1], dtype=np.int64)])
            _append(records, b"".join(record.tobytes() for _, _, record in rows))
            _append(index, entries.tobytes())

    def take_up(self) -> None:
        """Keeps the whole records of unfinished shards that a killed run left, whatever number of ranks it had.

        `append` then skips their rows. Every rank calls this before any of them appends, the main one first, which
        cuts torn ends.
        """
        for shard in self._unfinished():
            self._kept[shard] = np.zeros(self.rows[shard], np.bool_)
            for records in {path.with_suffix(".bin") for path in self._segment_files(shard)}:
                self._kept[shard][cut_to_whole(records, self.key, self.rows[shard])] = True

    def finish(self) -> None:
        """Writes completion records for shards whose rows are all there; by one rank, when all have flushed."""
        for shard in self._unfinished():
            indexes = [path for path in self._segment_files(shard) if path.suffix == ".idx"]
            rows = np.concatenate([np.fromfile(p, INDEX)["row"] for p in indexes] or [np.empty(0, np.int64)])
            if len(np.unique(rows)) < self.rows[shard]:
                continue
            files = sorted(self._segment_files(shard))
            record = {
                "sha256": self.hashes[shard],
                "rows": self.rows[shard],
                "files": [{"name": p.name, "bytes": p.stat().st_size, "sha256": _sha256(p)} for p in files],
            }
            write_json(self.folder / f"{self.names[shard]}.json", record)

    def _unfinished(self) -> list[int]:
        return [s for s, name in enumerate(self.names) if not (self.folder / f"{name}.json").exists()]

    def _segment(self, shard: int) -> tuple[Path, Path]:
        stem = f"{self.names[shard]}.r{self.rank}"
        return self.folder / f"{stem}.bin", self.folder / f"{stem}.idx"

    def _segment_files(self, shard: int) -> list[Path]:
        name = self.names[shard]
        return [*self.folder.glob(f"{name}.r*.bin"), *self.folder.glob(f"{name}.r*.idx")]

    def _load(self, shard: int) -> CachedShard | None:
        path = self.folder / f"{self.names[shard]}.json"
        if not path.exists():
            return None
        try:
            return self._checked(shard, json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
            log.warning("teacher cache: shard %s is damaged (%s); it is made again", self.names[shard], error)
            path.unlink(missing_ok=True)  # another rank may have come to the same verdict first
            for segment in self._segment_files(shard):
                segment.unlink(missing_ok=True)
            return None

    def _checked(self, shard: int, record: dict[str, object]) -> CachedShard:
        """The shard behind a completion record, every byte of it hashed."""
        if record["sha256"] != self.hashes[shard] or record["rows"] != self.rows[shard]:
            raise ValueError("made for another shard")
        listed: list[dict[str, object]] = record["files"]  # type: ignore[assignment]
        for entry in listed:
            path = self.folder / str(entry["name"])
            if path.stat().st_size != entry["bytes"] or _sha256(path) != entry["sha256"]:
                raise ValueError(f"{path.name} has other bytes than recorded")
        rows = self.rows[shard]
        segment, offset = np.full(rows, -1, np.int16), np.zeros(rows, np.int64)
        tokens = np.zeros(rows, np.int32)
        indexes = [self.folder / str(e["name"]) for e in listed if str(e["name"]).endswith(".idx")]
        for number, path in enumerate(indexes):
            entries = np.fromfile(path, INDEX)
            segment[entries["row"]] = number
            offset[entries["row"]] = entries["offset"]
            tokens[entries["row"]] = entries["tokens"]
        if (segment < 0).any():
            raise ValueError("rows are missing")
        return CachedShard(tuple(p.with_suffix(".bin") for p in indexes), segment, offset, tokens)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
