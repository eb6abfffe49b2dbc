"""Where the candidates of a chunk of rows come from: the stored table, or the masked LM while variants are drawn."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from augment.candidate_table import SCHEMA, SOURCES, from_arrow
from augment.kept import keep_in_table, kept_counts, protected_by_entry
from augment.protected import Protected
from augment.variants import draw_from_table
from pipelines.augmenting.flat_parts import FlatPart, FlatParts
from pipelines.augmenting.models import load_finder
from pipelines.augmenting.snapshot import TEXTS
from pipelines.augmenting.stages import CANDIDATES
from pipelines.errors import JobError
from pipelines.found import Found
from pipelines.run_folder.parquet import RowReader
from pipelines.run_folder.records import ShardNames, read_record
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from augment.candidate_table import Candidates
    from augment.variants import Drawer
    from pipelines.augmenting.stages import Job

GLOVE = SOURCES.index("glove")
OPEN_FILES = 16
DECODED_BYTES = 512 << 20  # of parts that a worker keeps in memory where no flat file has room; the last one stays
COLUMNS = ["text", "words", "error"]


@dataclass(frozen=True)
class Drawable:
    """What variants of a chunk's rows are drawn from.

    Args:
        candidates: of its T texts.
        drawer: draws replacements.
        kept: bool (W,) words that stay, beside those that have no candidates; None for none.
        counts: words by what becomes of them, summed over the rows.
        protected: entry of `--protect` -> words that it kept, likewise.
    """

    candidates: Candidates
    drawer: Drawer
    kept: np.ndarray | None = None
    counts: dict[str, int] = field(default_factory=dict)
    protected: dict[str, int] = field(default_factory=dict)


class StoredCandidates:
    """Reads candidates out of the finished parts of the table.

    Args:
        job: the job.
        text_bounds: part i holds the texts from bounds[i] up to bounds[i + 1].
        scattered: whether the texts of a shard lie anywhere in the table, since many repeat.
    """

    def __init__(self, job: Job, text_bounds: list[int], scattered: bool = False) -> None:
        self._storage, self._hash, self._bounds = Storage(job.source), job.candidates_hash, np.array(text_bounds)
        self._names = ShardNames(CANDIDATES, "part", len(text_bounds) - 1)
        self._protected = Protected(job.identity.settings.protect_more)
        self._open: OrderedDict[int, RowReader | FlatPart] = OrderedDict()
        self._flat = FlatParts(Storage(job.root), job.candidates_hash) if scattered else None

    def read(self, numbers: np.ndarray, times: np.ndarray) -> Drawable:
        """Candidates of some texts.

        Args:
            numbers: int64 (T,) ascending numbers of unique texts.
            times: int64 (T,) how often each occurs in the rows.

        Raises:
            JobError: a part of the table is missing or damaged.
        """
        candidates = self._read(numbers)
        if not self._protected.entries:
            return Drawable(candidates, draw_from_table)
        mask, kept = keep_in_table(candidates, self._protected)
        often = times.tolist()
        protected = protected_by_entry(kept, self._protected.entries, often)
        return Drawable(candidates, draw_from_table, mask, kept_counts(kept, often), protected)

    def _read(self, numbers: np.ndarray) -> Candidates:
        parts, tables = np.searchsorted(self._bounds, numbers, side="right") - 1, []
        for part in np.unique(parts).tolist():
            inside = numbers[parts == part] - self._bounds[part]
            try:
                tables.append(self._reader(part).take(inside, COLUMNS))
            except (OSError, pa.ArrowException) as error:
                raise JobError(
                    f"{self._storage.display(self._names.data(part))}: expected candidates, found a damaged file "
                    f"({error}); run the command again with --verify to have it redone"
                ) from error
        return from_arrow(pa.concat_tables(tables) if tables else SCHEMA.empty_table())

    def _reader(self, part: int) -> RowReader | FlatPart:
        if part not in self._open:
            if len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[part] = self._flat.part(part, partial(self._decoded, part)) if self._flat else self._file(part)
            while len(self._open) > 1 and self._decoded_bytes() > DECODED_BYTES:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(part)
        return self._open[part]

    def _decoded_bytes(self) -> int:
        return sum(part.memory for part in self._open.values() if isinstance(part, FlatPart))

    def _decoded(self, part: int) -> pa.Table:
        """All of a part, each row group read once."""
        reader = self._file(part)
        try:
            return reader.range(0, reader.rows, COLUMNS)
        finally:
            reader.close()

    def _file(self, part: int) -> RowReader:
        if read_record(self._storage, self._names, part, self._hash) is None:
            raise JobError(
                f"{self._storage.display(self._names.data(part))}: expected a finished part of the candidates, "
                "found none or a damaged one; run the command again to have it redone"
            )
        return RowReader(self._storage, self._names.data(part))


class RunningCandidates:
    """Finds the candidates of multi-piece words, and has the masked LM draw the others (context `running`).

    Args:
        job: the job.
    """

    def __init__(self, job: Job) -> None:
        self._finder, self._texts = load_finder(job, Found()), RowReader(Storage(job.source), TEXTS)
        self._with_partner, self._entries = job.with_partner, job.identity.settings.candidates.protect

    def read(self, numbers: np.ndarray, times: np.ndarray) -> Drawable:
        """Candidates of some texts; arguments as of `StoredCandidates.read`."""
        from augment.running import RunningDrawer

        table = self._texts.take(numbers)
        partners = table.column("partner").to_pylist() if self._with_partner else None
        candidates = self._finder.find(table.column("text").to_pylist(), partners)
        often = np.repeat(times, np.diff(candidates.text_offsets))  # (W,)
        unknown = (candidates.sources == GLOVE) & (np.diff(candidates.offsets) == 0)
        counts = {"eligible_words": int(often.sum()), "words_without_candidates": int(often[unknown].sum())}
        counts |= kept_counts(candidates.kept, times.tolist())
        protected = protected_by_entry(candidates.kept, self._entries, times.tolist())
        return Drawable(
            candidates, RunningDrawer(self._finder, candidates, partners), counts=counts, protected=protected
        )
