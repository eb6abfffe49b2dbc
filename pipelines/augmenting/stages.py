"""The contract of a sharded stage: what a worker computes of the rows of a part; its maker reads, writes and records.

Everything here is small and picklable: it is all that another process or machine is told.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Protocol

from pipelines.augmenting.models import require_same_software
from pipelines.machine.hardware import worker_hardware
from pipelines.machine.memory import return_free_memory
from pipelines.run_folder.parquet import RowReader, write_tables
from pipelines.run_folder.records import FORMAT_VERSION, Record, Reject, ShardNames, merge_counts
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from pipelines.augmenting.settings import Identity
    from pipelines.tasks import Task

CANDIDATES, AUGMENTED = "candidates", "augmented"


@dataclass(frozen=True)
class Job:
    """A run as its workers see it.

    Args:
        root: the run directory that is written to.
        source: the run directory that input and candidates are read from; the same but for `resample`.
        identity: settings and what they apply to.
        candidates_hash: settings the candidates were made with.
        mlm: folder or hub name of the masked LM; None where none is needed.
        mlm_revision: its commit on the hub.
        glove: file or name of the vectors; None for none.
        reuse: run directory whose candidates are taken for the texts that it has; None for none.
    """

    root: str
    source: str
    identity: Identity
    candidates_hash: str
    mlm: str | None = None
    mlm_revision: str | None = None
    glove: str | None = None
    reuse: str | None = None

    @property
    def task(self) -> Task:
        """The task."""
        return self.identity.task

    @property
    def with_partner(self) -> bool:
        """Whether the masked LM sees the other text of a pair."""
        return self.identity.settings.candidates.segment == "partner" and len(self.task.text_columns) > 1

    @property
    def running(self) -> bool:
        """Whether candidates are found while variants are drawn, and no table of them is stored."""
        return self.identity.settings.candidates.context == "running"

    @property
    def described(self) -> bytes:
        """What determines a shard's bytes, as JSON for its metadata: no worker counts, paths or times."""
        content = {"format_version": FORMAT_VERSION, **self.identity.fields()}
        return json.dumps(content, sort_keys=True, ensure_ascii=False).encode()


@dataclass
class Tally:
    """What a worker says of a part beside its tables.

    Attributes:
        counts: what was done, by name.
        protected: entry of `--protect` -> words that it kept.
        rejects: examples that failed.
    """

    counts: Counter[str] = field(default_factory=Counter)
    protected: Counter[str] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)


class Worker(Protocol):
    """Computes the parts of one stage; built once in each process. It writes nothing.

    Where the stage overlaps, several threads ask for tables of parts at once.
    """

    def tables(self, rows: Iterator[pa.Table], tally: Tally) -> Iterator[pa.Table]:
        """Computes one part.

        Args:
            rows: the rows of the part, some at a time.
            tally: to be complete after the last table.

        Yields:
            What the shard is to hold: one or more tables of one schema, each the beginning of a row group.
        """


@dataclass(frozen=True)
class Stage:
    """One stage of a job.

    Args:
        name: NEIGHBOURS, CANDIDATES or AUGMENTED.
        job: the job.
        shard: what the names of its shards begin with.
        reads: file of the input snapshot whose rows are its input.
        bounds: part i works on the rows from bounds[i] up to bounds[i + 1] of that file.
        settings_hash: of what determines its shards.
        computes: whether a model computes in it, whose last digits depend on the hardware.
        protect: entries of `--protect` that it applies.
        worker: builds its worker, given the schema of its rows; picklable.
        hardware: the kind its parts must be made on; None where any will do.
        gpu: whether its workers take a GPU, where there are some, though no model computes.
    """

    name: str
    job: Job
    shard: str
    reads: str
    bounds: list[int]
    settings_hash: str
    computes: bool
    protect: tuple[str, ...]
    worker: Callable[[Job, pa.Schema], Worker]
    hardware: str | None = None
    gpu: bool = False

    @property
    def names(self) -> ShardNames:
        """Names of its files."""
        return ShardNames(self.name, self.shard, len(self.bounds) - 1)

    @property
    def overlaps(self) -> bool:
        """Whether its worker reads and writes some parts while a device computes another."""
        return self.name == CANDIDATES and self.job.identity.settings.compute.device.startswith("cuda")

    def protected(self, records: list[Record]) -> dict[str, int]:
        """Words that each entry of `--protect` kept, in the order they were given in.

        Args:
            records: of all parts of the stage.
        """
        found = merge_counts(record.protected for record in records)
        return {entry: found.get(entry, 0) for entry in self.protect}

    def make_worker(self) -> ShardMaker:
        """What makes its shards in this process: models are loaded, files opened."""
        return ShardMaker(self)


class ShardMaker:
    """Makes shards of a stage in one process: reads the rows of a part, has them worked on, writes and records.

    Args:
        stage: the stage.

    Raises:
        UserError: this machine's software, hardware or models are not those the run was started with.
    """

    def __init__(self, stage: Stage) -> None:
        job = stage.job
        require_same_software(job.identity, stage.computes)
        self._stage, self._storage, self._hardware = stage, Storage(job.root), worker_hardware(stage)
        self._rows = RowReader(Storage(job.source), stage.reads)
        self._worker = stage.worker(job, self._rows.schema)

    def work(self, part: int) -> Record:
        """Makes one shard and publishes it, then its completion record.

        Args:
            part: its number.

        Returns:
            The record.
        """
        stage, tally = self._stage, Tally()
        first, last = stage.bounds[part : part + 2]
        tables = self._worker.tables(self._rows.pieces(first, last), tally)
        written = write_tables(self._storage, stage.names.data(part), tables)
        record = Record(
            stage.name,
            part,
            stage.names.parts,
            first,
            last,
            written.rows,
            written.bytes,
            written.sha256,
            stage.settings_hash,
            dict(tally.counts),
            tally.rejects,
            self._hardware,
            dict(tally.protected),
        )
        self._storage.write_json(stage.names.record(part), asdict(record))
        return_free_memory()
        return record

    def leave(self) -> None:
        """Publishes nothing more, whatever threads are still at work on."""
        self._storage.gate.close()
