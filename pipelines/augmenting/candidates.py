"""The stage that finds candidates: a run of unique texts in, one part of the candidate table out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from augment.candidate_table import to_arrow
from augment.kept import protected_by_entry
from pipelines.augmenting.models import load_finder
from pipelines.augmenting.snapshot import TEXTS, read_snapshot
from pipelines.augmenting.stages import described
from pipelines.found import Found
from pipelines.machine.hardware import worker_hardware
from pipelines.machine.memory import return_free_memory
from pipelines.run_folder.parquet import CountingSink, RowReader, open_writer
from pipelines.run_folder.records import Record, write_record
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.augmenting.stages import Stage

ROW_GROUP_TEXTS, ROW_GROUP_WORDS = 512, 20_000


class CandidateWorker:
    """Finds the candidates of parts.

    Args:
        stage: the stage.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._storage = Storage(stage.job.root)
        snapshot = read_snapshot(self._storage)
        if snapshot is None:
            raise FileNotFoundError(f"{self._storage.display('input')}: expected the input snapshot, found none")
        self._bounds = snapshot.text_bounds
        self._hardware = worker_hardware(stage)
        self._finder = load_finder(stage.job, Found())

    def work(self, part: int) -> Record:
        """Finds the candidates of one part and writes them.

        Args:
            part: its number.

        Returns:
            The completion record.
        """
        stage, job = self._stage, self._stage.job
        first, last = self._bounds[part], self._bounds[part + 1]
        reader = RowReader(self._storage, TEXTS)
        texts = reader.range(first, last)
        reader.close()
        partners = texts.column("partner").to_pylist() if job.with_partner else None
        candidates = self._finder.find(texts.column("text").to_pylist(), partners)
        table = to_arrow(candidates, texts.column("text_id").to_pylist())
        schema = table.schema.with_metadata({**(table.schema.metadata or {}), b"tinyaug": described(job)})
        with self._storage.writing(stage.names.data(part)) as raw:
            sink = CountingSink(raw)
            with open_writer(sink, schema) as writer:
                for group in _row_groups(table, candidates.text_offsets):
                    writer.write_table(group)
        record = Record(
            stage.name,
            part,
            stage.names.parts,
            first,
            last,
            table.num_rows,
            sink.bytes,
            sink.sha256,
            stage.settings_hash,
            candidates.counts,
            hardware=self._hardware,
            protected=protected_by_entry(candidates.kept, job.identity.settings.candidates.protect),
        )
        write_record(self._storage, stage.names, record)
        return_free_memory()
        return record


def _row_groups(table: pa.Table, text_offsets: np.ndarray) -> list[pa.Table]:
    """Cuts a part into row groups of bounded numbers of texts and words, so that a few rows are read cheaply."""
    groups, first = [], 0
    while first < table.num_rows:
        by_words = int(np.searchsorted(text_offsets, text_offsets[first] + ROW_GROUP_WORDS, side="right")) - 1
        last = min(first + ROW_GROUP_TEXTS, max(by_words, first + 1), table.num_rows)
        groups.append(table.slice(first, last - first))
        first = last
    return groups
