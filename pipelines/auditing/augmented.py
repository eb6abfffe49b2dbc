"""The finished augmentation that is audited: its task, its shards, and a sample of its examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from distill.stores import reading
from pipelines.auditing.flips import Keys
from pipelines.augmenting.run_file import existing_run
from pipelines.augmenting.stages import AUGMENTED
from pipelines.errors import UserError
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipelines.tasks import Task


@dataclass(frozen=True)
class Shard:
    """A shard of augmented rows.

    Args:
        name: of its file.
        rows: in it.
        sha256: of the file.
    """

    name: str
    rows: int
    sha256: str

    @property
    def place(self) -> str:
        """Its place in the run directory."""
        return f"{AUGMENTED}/data/{self.name}"


@dataclass(frozen=True)
class Augmented:
    """A finished augmentation.

    Args:
        storage: the run directory.
        task: of its rows.
        shards: in order.
    """

    storage: Storage
    task: Task
    shards: tuple[Shard, ...]

    @property
    def rows(self) -> int:
        """Rows of all shards, originals included."""
        return sum(shard.rows for shard in self.shards)

    def keys(self, shard: Shard) -> Keys:
        """Which example and variant each row of a shard is."""
        with reading(f"rows of {self.storage.display(shard.place)}"), self.storage.open_input(shard.place) as file:
            table = pq.read_table(file, columns=["source_idx", "variant"])
        return Keys(*(table.column(name).to_numpy() for name in ("source_idx", "variant")))


def open_augmented(run: str) -> Augmented:
    """Opens the run directory of a finished augmentation.

    Args:
        run: as the user named it.

    Raises:
        UserError: the folder is no run, the run is not finished, or its task has answers in texts in place of labels.
    """
    storage = Storage(run)
    task = existing_run(storage).identity.task
    if task.label.is_span:
        raise UserError(
            f"{storage.display()}: expected a task of classes or scores to audit, found {task.name}, whose variants "
            "keep their answers by construction; no edit overlaps one"
        )
    listed = (storage.read_json(f"{AUGMENTED}/manifest.json") or {}).get("shards", [])
    shards = tuple(Shard(one["file"].rpartition("/")[2], one["rows"], one["sha256"]) for one in listed)
    there = [storage.size(shard.place) for shard in shards]
    lost = [shard.place for shard, one, size in zip(shards, listed, there, strict=True) if size != one["bytes"]]
    if not shards or lost:
        found = f"{len(lost)} of {len(shards)} shards missing or damaged ({lost[0]})" if lost else "no manifest"
        raise UserError(
            f"{storage.display()}: expected a finished augmentation, found {found} in {AUGMENTED}; run its command "
            "again until it is done"
        )
    return Augmented(storage, task, shards)


def sample_examples(keys: Sequence[Keys], most: int, seed: int) -> list[NDArray[np.int64]]:
    """The rows of random examples, with all their variants.

    Args:
        keys: of each shard's rows.
        most: examples.
        seed: of the choice.

    Returns:
        For each shard the numbers of its rows, ascending.
    """
    sources = np.concatenate([found.source[found.variant == 0] for found in keys])
    if len(sources) > most:
        sources = np.random.default_rng(seed).choice(sources, most, replace=False)
    return [np.flatnonzero(np.isin(found.source, sources)) for found in keys]
