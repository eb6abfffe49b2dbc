"""Reads the neighbours that a job has found, for the workers that need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from augment.similar import KnownNeighbours
from pipelines.augmenting.snapshot import read_snapshot
from pipelines.run_folder.parquet import RowReader
from pipelines.run_folder.records import ShardNames, read_record
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from pipelines.augmenting.stages import Job

NEIGHBOURS = "neighbours"


def known_neighbours(job: Job) -> KnownNeighbours | None:
    """The neighbours that a job has found; None where it has no such table, or not all of it.

    Args:
        job: its folder is read.
    """
    storage = Storage(job.source)
    snapshot = read_snapshot(storage)
    parts = len(snapshot.word_bounds) - 1 if snapshot is not None else 0
    names, tables = ShardNames(NEIGHBOURS, "part", parts), []
    for part in range(parts):
        record = read_record(storage, names, part, job.candidates_hash)
        if record is None:
            return None
        reader = RowReader(storage, names.data(part))
        tables.append(reader.range(0, reader.rows))
        reader.close()
    return KnownNeighbours(pa.concat_tables(tables)) if tables else None
