"""How far a run is: finished shards of each stage, without starting anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.augmenting.augment_job import stages
from pipelines.augmenting.snapshot import read_snapshot
from pipelines.augmenting.stage_run import finished_records
from pipelines.augmenting.stages import Job
from pipelines.run_folder.run_file import read_run
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class StageState:
    """One stage.

    Args:
        name: of the stage.
        parts: shards it has.
        finished: shards that are finished and intact.
        rows, bytes: of those.
        missing: files of the others.
    """

    name: str
    parts: int
    finished: int
    rows: int
    bytes: int
    missing: list[str]


def stage_states(storage: Storage, verify: bool = False) -> Iterator[StageState]:
    """Looks at the stages of a run.

    Args:
        storage: the run directory.
        verify: also compares hashes.

    Yields:
        The stages in order; none before the input has been read.
    """
    run = read_run(storage)
    source = Storage(run.resampled_from) if run is not None and run.resampled_from else storage
    snapshot = read_snapshot(source)
    if run is None or snapshot is None:
        return
    job = Job(storage.root, source.root, run.identity, None, None, None, run.candidates_hash)
    for stage in stages(job, snapshot):
        if stage is not None:
            records = finished_records(storage, stage, verify)
            missing = [stage.names.data(part) for part in range(stage.names.parts) if part not in records]
            yield StageState(
                stage.name,
                stage.names.parts,
                len(records),
                sum(record.rows for record in records.values()),
                sum(record.bytes for record in records.values()),
                missing,
            )
