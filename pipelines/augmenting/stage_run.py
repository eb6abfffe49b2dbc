"""Runs one stage of a job to its end: what is left is run, what is finished is merged (design section 4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.engines import EngineSettings, Failure, run_parts
from pipelines.errors import JobError
from pipelines.machine.hardware import counted_hardware, refuse_other_hardware, ruling_hardware
from pipelines.run_folder.parquet import open_writer
from pipelines.run_folder.records import FORMAT_VERSION, Record, merge_counts, read_record

if TYPE_CHECKING:
    from pipelines.augmenting.stages import Stage
    from pipelines.reporting import Reporter
    from pipelines.run_folder.lock import WriterLock
    from pipelines.run_folder.storage import Storage

REJECTED = "rejected.parquet"
REJECT_SCHEMA = pa.schema(
    [
        ("source_idx", pa.int64()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("column", pa.string()),
        ("stage", pa.string()),
        ("error", pa.string()),
        ("text", pa.string()),
    ]
)


def finished_records(storage: Storage, stage: Stage, verify: bool = False) -> dict[int, Record]:
    """Records of the parts that are finished and intact.

    Args:
        storage: the run directory.
        stage: the stage.
        verify: also compares hashes.
    """
    found: dict[int, Record] = {}
    for part in range(stage.names.parts):
        record = read_record(storage, stage.names, part, stage.settings_hash, verify)
        if record is not None:
            found[part] = record
    return found


def run_stage(
    storage: Storage,
    stage: Stage,
    finished: dict[int, Record],
    engine: EngineSettings,
    cost: dict[int, float],
    reporter: Reporter,
    lock: WriterLock,
) -> list[Record]:
    """Runs what is left of a stage; a manifest of earlier shards is removed first.

    Args:
        storage: the run directory.
        stage: the stage.
        finished: records of parts that need not be run.
        engine: how to run the others.
        cost: of each part, for progress.
        reporter: is told of it.
        lock: is checked after each part.

    Returns:
        All records, in order.

    Raises:
        UserError: parts were made on several kinds of hardware, which was not allowed.
        JobError: parts failed, or the lock was lost; what was finished is kept.
    """
    records = dict(finished)
    failures: list[Failure] = []

    def on_done(done: Record | Failure) -> None:
        if isinstance(done, Failure):
            if "no space left" in done.reason:
                raise JobError(f"{done.reason}; free some space and run the same command again")
            failures.append(done)
            reporter.message(f"{stage.names.data(done.part)} failed: {done.reason}")
        else:
            if not engine.mixed_hardware:
                refuse_other_hardware(storage, stage, records.values(), done)
            records[done.part] = done
            reporter.advanced(done)
        lock.check()

    left = [part for part in range(stage.names.parts) if part not in finished]
    if left:
        hardware = ruling_hardware(stage, finished.values(), engine.mixed_hardware)
        storage.remove(stage.names.manifest)
        reporter.started(stage.name, stage.names.parts, list(finished.values()), cost)
        try:
            run_parts(replace(stage, hardware=hardware), left, engine, on_done)
        finally:
            reporter.ended(stage.name)
    if failures:
        named = ", ".join(stage.names.data(failure.part) for failure in failures[:3])
        more = f" and {len(failures) - 3} more" if len(failures) > 3 else ""
        raise JobError(
            f"{len(failures)} of {stage.names.parts} shards failed: {named}{more} ({failures[0].reason}); logs lie in "
            f"{storage.display('logs')}, what was finished is kept: run the same command again"
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
    if storage.size(stage.names.manifest) is None:
        storage.write_json(stage.names.manifest, _manifest(stage, records, file_rows))


def _manifest(stage: Stage, records: list[Record], file_rows: dict[str, int | None]) -> dict[str, Any]:
    content = stage.job.identity.fields()
    return {
        "format_version": FORMAT_VERSION,
        "stage": stage.name,
        "settings_hash": stage.settings_hash,
        "seed": content["settings"]["draw"]["seed"],
        **content,
        "inputs": [{**file, "rows": file_rows.get(file["name"])} for file in content["inputs"]],
        "rows": sum(record.rows for record in records),
        "bytes": sum(record.bytes for record in records),
        "counts": merge_counts(records),
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


def write_rejected(storage: Storage, rejects: list[dict[str, Any]]) -> None:
    """Writes rejected.parquet, or removes one that no longer holds; rows by source_idx."""
    if not rejects:
        storage.remove(REJECTED)
        return
    ordered = sorted(rejects, key=lambda reject: (reject["source_idx"], reject["stage"]))
    with storage.writing(REJECTED) as sink, open_writer(sink, REJECT_SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist(ordered, schema=REJECT_SCHEMA))
