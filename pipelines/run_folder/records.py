"""Completion records and manifests: what is finished, and whether it is still intact (design section 4)."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipelines.run_folder.storage import Storage

FORMAT_VERSION = 1


class Reject(TypedDict):
    """An example that could not be read or worked on, as a row of rejected.parquet.

    Attributes:
        source_idx: its row in the input.
        file: the input file; None for an example that was read.
        line: in that file; None where it has none.
        column: the column at fault; None where it is the whole row.
        stage: where it failed: `read`, `candidates` or `augmented`.
        error: what was expected and what was found.
        text: its first 200 characters.
    """

    source_idx: int
    file: str | None
    line: int | None
    column: str | None
    stage: str
    error: str
    text: str


REJECT_SCHEMA = pa.schema(
    [(name, pa.int64() if name in ("source_idx", "line") else pa.string()) for name in Reject.__annotations__]
)


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
        rejects: examples that failed.
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
    rejects: list[Reject] = field(default_factory=list)
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


def merge_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sums by name."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)
