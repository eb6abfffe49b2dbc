"""Completion records and manifests: what is finished, and whether it is still intact (design section 4)."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.run_folder.storage import Storage

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Record:
    """What one finished shard is.

    Args:
        stage: `candidates` or `augmented`.
        part: its number.
        parts: of how many.
        first, last: the range of texts (candidates) or rows (augmented) it was made from, `last` excluded.
        rows: rows in the file.
        bytes: size of the file.
        sha256: of the file.
        settings: hash of the settings it was made with.
        counts: what was done, by name.
        rejects: examples that failed, as they will stand in rejected.parquet.
        hardware: the kind of hardware that a model computed on; None where none did, or from before it was recorded.
        protected: entry of `--protect` -> words that it kept; entries that kept none are left out.
    """

    stage: str
    part: int
    parts: int
    first: int
    last: int
    rows: int
    bytes: int
    sha256: str
    settings: str
    counts: dict[str, int]
    rejects: list[dict[str, Any]] = field(default_factory=list)
    hardware: str | None = None
    protected: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ShardNames:
    """Names of a stage's files.

    Args:
        stage: the stage's folder.
        prefix: what a data file's name begins with (`part` or the split's name).
        parts: number of shards.
    """

    stage: str
    prefix: str
    parts: int

    def data(self, part: int) -> str:
        """The shard."""
        return f"{self.stage}/data/{self.prefix}-{part:05d}-of-{self.parts:05d}.parquet"

    def record(self, part: int) -> str:
        """Its completion record."""
        return f"{self.stage}/records/{self.prefix}-{part:05d}-of-{self.parts:05d}.json"

    @property
    def manifest(self) -> str:
        """The stage's manifest."""
        return f"{self.stage}/manifest.json"


def write_record(storage: Storage, names: ShardNames, record: Record) -> None:
    """Publishes a completion record; only after its shard."""
    storage.write_json(names.record(record.part), asdict(record))


def read_record(storage: Storage, names: ShardNames, part: int, settings: str, verify: bool = False) -> Record | None:
    """The record of a shard that is finished and intact.

    Args:
        storage: the run directory.
        names: of the stage's files.
        part: the shard.
        settings: hash the shard must have been made with.
        verify: also compares the file's sha256, not its size alone.

    Returns:
        The record; None where the shard has to be made (again).
    """
    content = storage.read_json(names.record(part))
    try:
        record = Record(**(content or {}))
    except TypeError:
        return None
    if (record.settings, record.part, record.parts) != (settings, part, names.parts):
        return None
    if storage.size(names.data(part)) != record.bytes:
        return None
    if verify and sha256(storage, names.data(part)) != record.sha256:
        return None
    return record


def sha256(storage: Storage, name: str) -> str:
    """Hexadecimal sha256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with storage.open_input(name) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def merge_counts(records: list[Record]) -> dict[str, int]:
    """Sums of the counts of some records, by name."""
    return merge_count_maps([record.counts for record in records])


def merge_count_maps(counts: list[dict[str, int]]) -> dict[str, int]:
    """Sums by name."""
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return total
