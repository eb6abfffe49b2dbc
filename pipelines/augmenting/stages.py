"""What a worker is told: a small, picklable description of a run and its stages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from augment.assemble import EDIT
from pipelines.run_folder.records import FORMAT_VERSION, Record, ShardNames, merge_count_maps
from pipelines.tasks import METADATA_KEY, Label, Task, features_metadata

if TYPE_CHECKING:
    from pipelines.augmenting.settings import Identity

CANDIDATES, AUGMENTED = "candidates", "augmented"
SETTINGS_KEY = b"tinyaug"


@dataclass(frozen=True)
class Job:
    """A run as its workers see it.

    Args:
        root: the run directory that is written to.
        source: the run directory that input and candidates are read from; the same but for `resample`.
        identity: settings and what they apply to.
        mlm: folder or hub name of the masked LM; None where none is needed.
        mlm_revision: its commit on the hub.
        glove: file or name of the vectors; None for none.
        candidates_hash: settings the candidates were made with.
    """

    root: str
    source: str
    identity: Identity
    mlm: str | None
    mlm_revision: str | None
    glove: str | None
    candidates_hash: str

    @property
    def task(self) -> Task:
        """The task."""
        return task_from(self.identity.task)

    @property
    def with_partner(self) -> bool:
        """Whether the masked LM sees the other text of a pair."""
        return self.identity.settings.candidates.segment == "partner" and len(self.task.text_columns) > 1

    @property
    def running(self) -> bool:
        """Whether candidates are found while variants are drawn, and no table of them is stored."""
        return self.identity.settings.candidates.context == "running"


class Worker(Protocol):
    """Does the parts of one stage; built once in each worker process."""

    def work(self, part: int) -> Record:
        """Makes one shard, publishes it and its record, and returns the record."""


@dataclass(frozen=True)
class Stage:
    """One stage of a job.

    Args:
        name: CANDIDATES or AUGMENTED.
        job: the job.
        names: of its files.
        settings_hash: of what determines its shards.
        hardware: the kind its parts must be made on; None where any will do.
    """

    name: str
    job: Job
    names: ShardNames
    settings_hash: str
    hardware: str | None = None

    @property
    def computes(self) -> bool:
        """Whether a model computes in it, whose last digits depend on the hardware."""
        return self.name == CANDIDATES or self.job.running

    @property
    def protect(self) -> tuple[str, ...]:
        """Entries of `--protect` that this stage applies."""
        settings = self.job.identity.settings
        return settings.candidates.protect if self.name == CANDIDATES or self.job.running else settings.protect_more

    def protected(self, records: list[Record]) -> dict[str, int]:
        """Words that each of them kept, in the order they were given in.

        Args:
            records: of all parts of the stage.
        """
        found = merge_count_maps([record.protected for record in records])
        return {entry: found.get(entry, 0) for entry in self.protect}

    def make_worker(self) -> Worker:
        """Builds the worker: loads models, opens files."""
        if self.name == CANDIDATES:
            from pipelines.augmenting.candidates import CandidateWorker

            return CandidateWorker(self)
        from pipelines.augmenting.variants import VariantWorker

        return VariantWorker(self)


def task_from(content: dict[str, Any]) -> Task:
    """Reads a task back from run.json."""
    label = Label(**{**content["label"], "names": tuple(content["label"]["names"])})
    return Task(content["name"], tuple(content["text_columns"]), label)


def augmented_schema(columns: pa.Schema, job: Job) -> pa.Schema:
    """Schema of the augmented shards: the task's own columns and ours, with features and settings as metadata.

    Args:
        columns: the task's columns.
        job: the job; its settings go into the metadata.
    """
    ours = [("source_idx", pa.int64()), ("variant", pa.int32()), ("edits", pa.list_(EDIT))]
    schema = pa.schema([*columns, *(pa.field(name, kind) for name, kind in ours)])
    return schema.with_metadata({METADATA_KEY: features_metadata(schema, job.task), SETTINGS_KEY: described(job)})


def described(job: Job) -> bytes:
    """What determines a shard's bytes, as JSON for its metadata: no worker counts, paths or times."""
    content = {"format_version": FORMAT_VERSION, **job.identity.fields()}
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode()
