"""The stage that draws variants: a run of source rows in, one augmented shard out."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from augment.candidate_table import SOURCES
from augment.kept import keep_in_table, kept_counts, protected_by_entry
from augment.protected import Protected
from augment.running import FailedExamplesError, RunningDrawer
from augment.sites import find_sites
from augment.variants import VariantBatch, draw_variants
from pipelines.augmenting.candidate_reader import CandidateReader
from pipelines.augmenting.chunks import MOST_BYTES, chunk_bounds, row_costs
from pipelines.augmenting.leaks import HeldOut
from pipelines.augmenting.models import require_same_software
from pipelines.augmenting.plan import rows_of_example, shard_bounds
from pipelines.augmenting.snapshot import ROWS, TEXT_NUMBERS, read_snapshot
from pipelines.augmenting.stages import augmented_schema
from pipelines.machine.hardware import worker_hardware
from pipelines.run_folder.parquet import ROW_GROUP_ROWS, CountingSink, RowReader, open_writer
from pipelines.run_folder.records import Record, merge_count_maps, write_record
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from augment.candidate_table import Candidates
    from augment.candidates import CandidateFinder
    from augment.sites import Sites
    from pipelines.augmenting.stages import Stage

GLOVE = SOURCES.index("glove")
SHOWN = 200  # code points of a rejected example's text

Rejects = list[dict[str, Any]]


class _Kept(NamedTuple):
    """Words that stay: bool (W,) or None, counts by name, and entry of `--protect` -> words."""

    mask: np.ndarray | None
    counts: dict[str, int]
    protected: dict[str, int]


class VariantWorker:
    """Draws the variants of shards.

    Args:
        stage: the stage.
    """

    def __init__(self, stage: Stage) -> None:
        job = stage.job
        require_same_software(job)
        self._hardware = worker_hardware(stage)
        self._stage, self._job, self._task = stage, job, job.task
        self._names = list(self._task.text_columns)
        self._storage, source = Storage(job.root), Storage(job.source)
        snapshot = read_snapshot(source)
        if snapshot is None:
            raise FileNotFoundError(f"{source.display('input')}: expected the input snapshot, found none")
        self._rows = RowReader(source, ROWS)
        self._bounds = shard_bounds(snapshot.rows, job.identity.settings.shard_rows)
        self._held_out = HeldOut(source, self._names)
        self._protected = Protected(job.identity.settings.protect_more)
        self._finder: CandidateFinder | None = None
        if job.running:
            from pipelines.augmenting.models import load_finder
            from pipelines.found import Found

            self._finder = load_finder(job, Found())
        self._candidates = CandidateReader(source, snapshot.text_bounds, job.candidates_hash, job.with_partner)

    def work(self, part: int) -> Record:
        """Draws the variants of one shard and writes them.

        Args:
            part: its number.

        Returns:
            The completion record.
        """
        stage = self._stage
        first, last = self._bounds[part], self._bounds[part + 1]
        columns = pa.schema([one for one in self._rows.schema if one.name not in ("source_idx", TEXT_NUMBERS)])
        schema = augmented_schema(columns.remove_metadata(), self._job)
        counts: list[dict[str, int]] = []
        rejects: Rejects = []
        protected: list[dict[str, int]] = []
        written = 0
        with self._storage.writing(stage.names.data(part)) as raw:
            sink = CountingSink(raw)
            with open_writer(sink, schema) as writer:
                for chunk in self._chunks(first, last, rejects):
                    table, counted, kept = self._augment(chunk, schema, rejects)
                    writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
                    counts.append(counted)
                    protected.append(kept)
                    written += table.num_rows
        record = Record(
            stage.name,
            part,
            stage.names.parts,
            first,
            last,
            written,
            sink.bytes,
            sink.sha256,
            stage.settings_hash,
            merge_count_maps(counts),
            rejects,
            hardware=self._hardware,
            protected=merge_count_maps(protected),
        )
        write_record(self._storage, stage.names, record)
        return record

    def _chunks(self, first: int, last: int, rejects: Rejects) -> Iterator[pa.Table]:
        """Rows in runs whose variants fit into memory together; those that would not do so alone are taken out."""
        copies = rows_of_example(self._job.identity.settings.draw, len(self._names))
        for rows in self._rows.pieces(first, last):
            costs = row_costs(rows, copies)
            heavy = {
                int(row): (0, f"its {copies:,} rows would take {costs[row] / 1e9:.1f} GB, which is too much; lower --n")
                for row in np.flatnonzero(costs > MOST_BYTES)
            }
            rows, costs = self._without(rows, costs, heavy, rejects, "augmented")
            bounds = chunk_bounds(costs)
            for start, end in pairwise(bounds):
                yield rows.slice(start, end - start)

    def _augment(
        self, rows: pa.Table, schema: pa.Schema, rejects: Rejects
    ) -> tuple[pa.Table, dict[str, int], dict[str, int]]:
        """One chunk, its counts and protected words; examples that cannot be worked on are taken out."""
        candidates, texts = self._find(rows)
        kept = self._keep(candidates, texts)
        rows, texts = self._without(rows, texts, _failed_rows(texts, candidates.errors), rejects, "candidates")
        while True:
            try:
                batch = self._draw(rows, find_sites(candidates, self._job.running, kept.mask), texts)
                break
            except FailedExamplesError as failed:
                errors = {row: (0, error) for row, error in failed.errors.items()}
                rows, texts = self._without(rows, texts, errors, rejects, "augmented")
        copied = [name for name in schema.names if name in rows.schema.names and name not in self._names]
        taken = rows.select(copied).take(pa.array(batch.rows))
        columns: dict[str, Any] = {name: taken.column(name) for name in copied}
        columns.update(zip(self._names, batch.texts, strict=True))
        columns.update(variant=pa.array(batch.variants.astype(np.int32)), edits=batch.edits)
        table = pa.table([columns[name] for name in schema.names], schema=schema)
        return table, {**batch.counts, **kept.counts}, kept.protected

    def _find(self, rows: pa.Table) -> tuple[Candidates, np.ndarray]:
        """Candidates of a chunk's texts, and for each row its texts among them, (R, C)."""
        numbers = rows.column(TEXT_NUMBERS).combine_chunks().flatten().to_numpy().reshape(-1, len(self._names))
        unique, places = np.unique(numbers, return_inverse=True)
        places = places.reshape(numbers.shape)
        if self._finder is None:
            return self._candidates.read(unique), places
        texts, partners = self._candidates.texts(unique)
        self._partners = partners
        return self._finder.find(texts, partners), places

    def _keep(self, candidates: Candidates, texts: np.ndarray) -> _Kept:
        """What stays in this stage, counted over rows; with context `running` the finder has seen to it."""
        times = np.bincount(texts.reshape(-1), minlength=len(candidates.texts))
        if self._finder is not None:
            often = np.repeat(times, np.diff(candidates.text_offsets))  # (W,)
            unknown = (candidates.sources == GLOVE) & (np.diff(candidates.offsets) == 0)
            counts = {"eligible_words": int(often.sum()), "words_without_candidates": int(often[unknown].sum())}
            mask, kept, entries = None, candidates.kept, self._job.identity.settings.candidates.protect
        elif self._protected.entries:
            counts, entries = {}, self._protected.entries
            mask, kept = keep_in_table(candidates, self._protected)
        else:
            return _Kept(None, {}, {})
        counts.update(kept_counts(kept, times.tolist()))
        return _Kept(mask, counts, protected_by_entry(kept, entries, times.tolist()))

    def _draw(self, rows: pa.Table, sites: Sites, texts: np.ndarray) -> VariantBatch:
        settings = self._job.identity.settings
        source_idx = rows.column("source_idx").to_numpy()
        arguments = (sites, source_idx, texts, self._names, settings.draw)
        leaks = self._held_out.contains
        if self._finder is None:
            return draw_variants(*arguments, leaks, settings.drop_leaks)
        drawer = RunningDrawer(self._finder, sites.candidates, self._partners)
        return draw_variants(*arguments, leaks, settings.drop_leaks, drawer)

    def _without(
        self, rows: pa.Table, of_rows: np.ndarray, errors: dict[int, tuple[int, str]], rejects: Rejects, stage: str
    ) -> tuple[pa.Table, np.ndarray]:
        """The rows, and what goes with each, without those that failed, which are written down."""
        if not errors:
            return rows, of_rows
        for row, (column, error) in sorted(errors.items()):
            name = self._names[column]
            rejects.append(
                {
                    "source_idx": rows.column("source_idx")[row].as_py(),
                    "file": None,
                    "line": None,
                    "column": name,
                    "stage": stage,
                    "error": error,
                    "text": rows.column(name)[row].as_py()[:SHOWN],
                }
            )
        kept = np.array([row for row in range(rows.num_rows) if row not in errors], dtype=np.int64)
        return rows.take(pa.array(kept)), of_rows[kept]


def _failed_rows(texts: np.ndarray, errors: dict[int, str]) -> dict[int, tuple[int, str]]:
    """Rows with a text that failed: row -> its first such column and the reason."""
    if not errors:
        return {}
    rows, columns = np.nonzero(np.isin(texts, list(errors)))
    found: dict[int, tuple[int, str]] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        found.setdefault(row, (column, errors[int(texts[row, column])]))
    return found
