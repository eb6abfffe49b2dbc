"""The stage that draws variants: source rows in, augmented rows out."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from augment.assemble import EDIT
from augment.chunks import MOST_BYTES, chunk_bounds, row_costs
from augment.errors import FailedExamplesError
from augment.held_out import HeldOut
from augment.sites import find_sites
from augment.variants import draw_variants
from pipelines.augmenting.plan import rows_of_example
from pipelines.augmenting.snapshot import HELD_OUT, TEXT_NUMBERS
from pipelines.augmenting.sources import RunningCandidates, StoredCandidates
from pipelines.classes.rows import RowNumbers
from pipelines.run_folder.records import Reject
from pipelines.run_folder.storage import Storage
from pipelines.squad.following import AnswersKept, moved_answers
from pipelines.tasks import METADATA_KEY, features_metadata
from pipelines.tasks.squad import ANSWERS, CONTEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.augmenting.stages import Job, Tally

SHOWN = 200  # code points of a rejected example's text


class VariantWorker:
    """Draws the variants of source rows.

    Args:
        text_bounds: of the parts of the candidate table.
        scattered: whether so many texts repeat that those of a shard lie anywhere in it.
        job: the job.
        columns: of the source rows.
    """

    def __init__(self, text_bounds: list[int], scattered: bool, job: Job, columns: pa.Schema) -> None:
        self._job, self._settings, self._names = job, job.identity.settings, list(job.task.text_columns)
        self._schema, self._is_span = augmented_schema(columns, job), job.task.label.is_span
        with Storage(job.source).open_input(HELD_OUT) as stream:
            self._held_out = HeldOut(pq.read_table(stream))
        self._numbers = RowNumbers(job)
        self._source = RunningCandidates(job) if job.running else StoredCandidates(job, text_bounds, scattered)

    def tables(self, rows: Iterator[pa.Table], tally: Tally) -> Iterator[pa.Table]:
        """Each row with its variants.

        Args:
            rows: with the numbers of their texts.
            tally: is completed.

        Yields:
            Augmented rows, by source row and variant.
        """
        made = False
        for chunk in self._chunks(rows, tally):
            made = True
            yield self._augment(chunk, tally)
        if not made:
            yield self._schema.empty_table()

    def _chunks(self, pieces: Iterator[pa.Table], tally: Tally) -> Iterator[pa.Table]:
        """Rows in runs whose variants fit into memory together; a row whose own do not is rejected."""
        for rows in pieces:
            copies = np.broadcast_to(rows_of_example(self._numbers.settings_of(rows), len(self._names)), rows.num_rows)
            costs = row_costs(rows, copies)
            heavy = {
                int(row): (
                    0,
                    f"its {copies[row]:,} rows would take {costs[row] / 1e9:.1f} GB, which is too much; lower --n",
                )
                for row in np.flatnonzero(costs > MOST_BYTES)
            }
            rows, costs = self._without(heavy, rows, costs, tally, "augmented")
            for start, end in pairwise(chunk_bounds(costs)):
                yield rows.slice(start, end - start)

    def _augment(self, rows: pa.Table, tally: Tally) -> pa.Table:
        """One chunk; examples that cannot be worked on are rejected."""
        numbers = rows.column(TEXT_NUMBERS).combine_chunks().flatten().to_numpy().reshape(-1, len(self._names))
        unique, texts = np.unique(numbers, return_inverse=True)
        texts = texts.reshape(numbers.shape)  # (R, C) places in `unique`
        found = self._source.read(unique, np.bincount(texts.reshape(-1), minlength=len(unique)))
        rows, texts = self._without(_failed_rows(texts, found.candidates.errors), rows, texts, tally, "candidates")
        sites = find_sites(found.candidates, self._job.running, found.kept)
        while True:
            source_idx, settings = rows.column("source_idx").to_numpy(), self._numbers.settings_of(rows)
            drawer = AnswersKept(found.drawer, rows.column(ANSWERS)) if self._is_span else found.drawer
            drawn = (sites, source_idx, texts, self._names, settings, self._held_out.contains)
            try:
                batch = draw_variants(*drawn, self._settings.drop_leaks, drawer)
                break
            except FailedExamplesError as failed:
                errors = {row: (0, error) for row, error in failed.errors.items()}
                rows, texts = self._without(errors, rows, texts, tally, "augmented")
        for counts in (batch.counts, found.counts, self._numbers.counts(rows, batch.rows)):
            tally.counts.update(counts)
        tally.protected.update(found.protected)
        copied = [name for name in self._schema.names if name in rows.schema.names and name not in self._names]
        taken = rows.select(copied).take(pa.array(batch.rows))
        columns: dict[str, Any] = {name: taken.column(name) for name in copied}
        columns.update(zip(self._names, batch.texts, strict=True))
        if self._is_span:
            columns[ANSWERS] = moved_answers(columns[ANSWERS], batch.edits, CONTEXT)
        columns.update(variant=pa.array(batch.variants.astype(np.int32)), edits=batch.edits)
        return pa.table([columns[name] for name in self._schema.names], schema=self._schema)

    def _without(
        self, errors: dict[int, tuple[int, str]], rows: pa.Table, of_rows: np.ndarray, tally: Tally, stage: str
    ) -> tuple[pa.Table, np.ndarray]:
        """The rows, and what goes with each, without those that failed (row -> column and reason), now rejected."""
        if not errors:
            return rows, of_rows
        for row, (column, error) in sorted(errors.items()):
            name = self._names[column]
            idx, text = rows.column("source_idx")[row].as_py(), rows.column(name)[row].as_py()[:SHOWN]
            tally.rejects.append(
                Reject(source_idx=idx, file=None, line=None, column=name, stage=stage, error=error, text=text)
            )
        kept = np.array([row for row in range(rows.num_rows) if row not in errors], dtype=np.int64)
        return rows.take(pa.array(kept)), of_rows[kept]


def augmented_schema(columns: pa.Schema, job: Job) -> pa.Schema:
    """Schema of the augmented shards: the task's own columns and ours, with features and settings as metadata.

    Args:
        columns: of the source rows in the input snapshot.
        job: the job; its settings go into the metadata.
    """
    task = [column for column in columns if column.name not in ("source_idx", TEXT_NUMBERS)]
    ours = {"source_idx": pa.int64(), "variant": pa.int32(), "edits": pa.list_(EDIT)}
    schema = pa.schema([*task, *(pa.field(name, kind) for name, kind in ours.items())])
    return schema.with_metadata({METADATA_KEY: features_metadata(schema, job.task), b"tinyaug": job.described})


def _failed_rows(texts: np.ndarray, errors: dict[int, str]) -> dict[int, tuple[int, str]]:
    """Rows with a text that failed: row -> its first such column and the reason."""
    if not errors:
        return {}
    rows, columns = np.nonzero(np.isin(texts, list(errors)))
    found: dict[int, tuple[int, str]] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        found.setdefault(row, (column, errors[int(texts[row, column])]))
    return found
