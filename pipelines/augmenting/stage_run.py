"""Runs one stage of a job to its end: what is left is run, what is finished is merged (design section 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipelines.augmenting.snapshot import last_texts
from pipelines.engines import EngineSettings, Failure, Follower, run_parts, worker_count
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


class StageRun:
    """A stage of a job that is run to its end, by itself or beside the one before it.

    Args:
        storage: the run directory.
        state: of the stage.
        engine: how to run the parts that are left; a GPU is taken only where it is of use.
        reporter: is told of it.
        lock: is checked after each part.
    """

    def __init__(
        self, storage: Storage, state: StageState, engine: EngineSettings, reporter: Reporter, lock: WriterLock
    ) -> None:
        self._storage, self._stage, self._reporter, self._lock = storage, state.stage, reporter, lock
        gpu = engine.gpu and (state.stage.computes or state.stage.gpu)
        self._engine = replace(engine, gpu=gpu, overlaps=state.stage.overlaps)
        self._records, self._failures, self._left = dict(state.records), list[Failure](), state.left
        self._shown, self._whole = False, 0  # whether the reporter shows it; parts from the first on that are there
        self._next: StageRun | None = None

    def run(self, after: StageRun | None = None) -> list[Record]:
        """Runs what is left; a manifest of earlier shards is removed first.

        Args:
            after: the stage that reads this one's shards, where there is one. Where a GPU makes these, the cores
                draw from them meanwhile, and what is left to `after` is nothing, or what follows a failure.

        Returns:
            All records, in order.

        Raises:
            UserError: parts were made on several kinds of hardware, which was not allowed.
            JobError: parts failed, or the lock was lost; what was finished is kept.
        """
        if self._left:
            stage, beside = self._begun(), []
            if after is not None and self._may_be_followed(after):
                self._next, beside = after, [after._following(self)]
            self._show()
            try:
                run_parts(stage, list(self._left), self._engine, self._on_done, *beside)
            finally:
                self._hide()
                if self._next is not None:
                    self._next._hide()
        return self._finished()

    def _begun(self) -> Stage:
        hardware = ruling_hardware(self._stage, self._records.values(), self._engine.mixed_hardware)
        self._storage.remove(self._stage.names.manifest)
        return replace(self._stage, hardware=hardware)

    def _may_be_followed(self, after: StageRun) -> bool:
        """Whether there are cores to spare, and processes would be started anyway.

        With Ray one stage comes after the other: each starts Ray, and takes all its cores for a pool of actors that
        does not shrink, so two at once would have to share out a cluster which may grow. Nobody has tried that.
        """
        is_local = self._engine.engine == "local"
        return is_local and self._stage.overlaps and worker_count(after._engine, len(after._left)) > 1

    def _following(self, other: StageRun) -> Follower:
        """What the engine is told of this stage where it runs beside the one whose shards it reads."""
        texts = last_texts(self._storage, self._stage.bounds)
        needed = np.searchsorted(other._stage.bounds, texts, side="right")  # parts of the other one, from the first on

        def ready(part: int) -> bool:
            while other._whole in other._records:
                other._whole += 1
            return bool(needed[part] <= other._whole)

        return Follower(
            self._begun(), list(self._left), self._engine, self._on_done, ready, alone=lambda: not other._left
        )

    def _on_done(self, done: Record | Failure) -> None:
        if isinstance(done, Failure):
            if done.disk_full:
                raise DiskFullError(done.reason)
            self._failures.append(done)
            self._reporter.message(f"{self._stage.names.data(done.part)} failed: {done.reason}")
        else:
            if not self._engine.mixed_hardware:
                refuse_other_hardware(self._storage, self._stage, self._records.values(), done)
            self._records[done.part] = done
            if self._shown:
                self._reporter.advanced(done)
        self._left.remove(done.part)
        self._lock.check()
        if not (self._left or self._failures) and self._next is not None:  # one bar at a time, with what is drawn
            self._hide()
            self._next._show()

    def _show(self) -> None:
        costs = dict.fromkeys(range(self._stage.names.parts), 1.0)  # of about the same size each
        self._reporter.started(self._stage.name, len(costs), list(self._records.values()), costs)
        self._shown = True

    def _hide(self) -> None:
        if self._shown:
            self._reporter.ended(self._stage.name)
        self._shown = False

    def _finished(self) -> list[Record]:
        if self._failures:
            named = ", ".join(self._stage.names.data(failure.part) for failure in self._failures[:3])
            more = f" and {len(self._failures) - 3} more" if len(self._failures) > 3 else ""
            raise JobError(
                f"{len(self._failures)} of {self._stage.names.parts} shards failed: {named}{more} "
                f"({self._failures[0].reason}); see the logs in {self._storage.display('logs')}. What was finished is "
                "kept: run the same command again"
            )
        return [self._records[part] for part in range(self._stage.names.parts)]


def write_manifest(storage: Storage, stage: Stage, records: list[Record], file_rows: dict[str, int | None]) -> None:
    """Writes the manifest of a finished stage unless it is there: `StageRun` removes one that no longer holds.

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
