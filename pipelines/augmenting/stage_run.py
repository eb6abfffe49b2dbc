"""Runs one stage of a job to its end: what is left is run, what is finished is merged (design section 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.engines import EngineSettings, Failure, run_parts
from pipelines.errors import DiskFullError, JobError
from pipelines.machine.hardware import counted_hardware, refuse_other_hardware, ruling_hardware
from pipelines.run_folder.parquet import write_tables
from pipelines.run_folder.records import FORMAT_VERSION, REJECT_SCHEMA, Record, Reject, merge_counts, read_record
from pipelines.wording import counted

if TYPE_CHECKING:
    from pipelines.augmenting.stages import Stage
    from pipelines.reporting import Reporter
    from pipelines.run_folder.lock import WriterLock
    from pipelines.run_folder.storage import Storage

REJECTED = "rejected.parquet"


@dataclass(frozen=True)
class StageState:
    """How far a stage is.

    Args:
        stage: the stage.
        records: of its parts that are finished and intact, by part.
    """

    stage: Stage
    records: dict[int, Record]

    @classmethod
    def of(cls, storage: Storage, stage: Stage, verify: bool) -> StageState:
        """Looks at the shards of a stage.

        Args:
            storage: the run directory.
            stage: the stage.
            verify: compare hashes, not sizes alone.
        """
        found = (
            read_record(storage, stage.names, part, stage.settings_hash, verify) for part in range(stage.names.parts)
        )
        return cls(stage, {record.part: record for record in found if record is not None})

    def __str__(self) -> str:
        return f"{self.stage.name:<11} {len(self.records):>5} of {counted(self.stage.names.parts, 'shard')}"

    @property
    def left(self) -> list[int]:
        """Its parts that are still to be made."""
        return [part for part in range(self.stage.names.parts) if part not in self.records]


def run_stage(
    storage: Storage, state: StageState, engine: EngineSettings, reporter: Reporter, lock: WriterLock
) -> list[Record]:
    """Runs what is left of a stage; a manifest of earlier shards is removed first.

    Args:
        storage: the run directory.
        state: of the stage.
        engine: how to run the parts that are left; a GPU is taken only where it is of use.
        reporter: is told of it.
        lock: is checked after each part.

    Returns:
        All records, in order.

    Raises:
        UserError: parts were made on several kinds of hardware, which was not allowed.
        JobError: parts failed, or the lock was lost; what was finished is kept.
    """
    stage, records = state.stage, dict(state.records)
    failures: list[Failure] = []

    def on_done(done: Record | Failure) -> None:
        if isinstance(done, Failure):
            if done.disk_full:
                raise DiskFullError(done.reason)
            failures.append(done)
            reporter.message(f"{stage.names.data(done.part)} failed: {done.reason}")
        else:
            if not engine.mixed_hardware:
                refuse_other_hardware(storage, stage, records.values(), done)
            records[done.part] = done
            reporter.advanced(done)
        lock.check()

    if state.left:
        hardware = ruling_hardware(stage, records.values(), engine.mixed_hardware)
        storage.remove(stage.names.manifest)
        costs = dict.fromkeys(range(stage.names.parts), 1.0)  # of about the same size each
        reporter.started(stage.name, stage.names.parts, list(records.values()), costs)
        try:
            engine = replace(engine, gpu=engine.gpu and (stage.computes or stage.gpu), overlaps=stage.overlaps)
            run_parts(replace(stage, hardware=hardware), state.left, engine, on_done)
        finally:
            reporter.ended(stage.name)
    if failures:
        named = ", ".join(stage.names.data(failure.part) for failure in failures[:3])
        more = f" and {len(failures) - 3} more" if len(failures) > 3 else ""
        raise JobError(
            f"{len(failures)} of {stage.names.parts} shards failed: {named}{more} ({failures[0].reason}); see the logs "
            f"in {storage.display('logs')}. What was finished is kept: run the same command again"
        )
    return [records[part] for part in range(stage.names.parts)]


def write_manifest(storage: Storage, stage: Stage, records: list[Record], file_rows: dict[str, int | None]) -> None:
    """Writes the manifest of a finished stage unless it is there: `run_stage` removes one that no longer holds.

    Args:
        storage: the run directory.
        stage: the stage.
        records: of all its parts, in order.
        file_rows: rows of the input files by name; None where they were not counted.
    """
    if storage.size(stage.names.manifest) is not None:
        return
    content = stage.job.identity.fields()
    manifest = {
        "format_version": FORMAT_VERSION,
        "stage": stage.name,
        "settings_hash": stage.settings_hash,
        "seed": content["settings"]["draw"]["seed"],
        **content,
        "inputs": [{**file, "rows": file_rows.get(file["name"])} for file in content["inputs"]],
        "rows": sum(record.rows for record in records),
        "bytes": sum(record.bytes for record in records),
        "counts": merge_counts(record.counts for record in records),
        **({"hardware": counted_hardware(records)} if stage.computes else {}),
        "protected": stage.protected(records),
        "rejected_rows": sum(len(record.rejects) for record in records),
        "shards": [
            {
                "file": stage.names.data(record.part).split("/", 1)[1],
                "first": record.first,
                "last": record.last,
                "rows": record.rows,
                "bytes": record.bytes,
                "sha256": record.sha256,
                "counts": record.counts,
            }
            for record in records
        ],
    }
    storage.write_json(stage.names.manifest, manifest)


def write_rejected(storage: Storage, rejects: list[Reject]) -> None:
    """Writes rejected.parquet, or removes one that no longer holds; rows by source_idx."""
    if not rejects:
        storage.remove(REJECTED)
        return
    ordered = sorted(rejects, key=lambda reject: (reject["source_idx"], reject["stage"]))
    write_tables(storage, REJECTED, [pa.Table.from_pylist(ordered, schema=REJECT_SCHEMA)])
