"""The stage that finds candidates: unique texts in, their rows of the candidate table out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from augment.candidate_table import to_arrow
from augment.kept import protected_by_entry
from augment.stored import counted_again, join_candidates, select_candidates
from pipelines.augmenting.models import load_finder
from pipelines.found import Found
from pipelines.reusing.known_texts import ReusedCandidates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.augmenting.stages import Job, Tally

NONE = np.zeros(0, dtype=np.int64)
ROW_GROUP_TEXTS, ROW_GROUP_WORDS = 512, 20_000


class CandidateWorker:
    """Finds the candidates of texts: reads and splits, proposes, assembles; each of the three for one part at a time.

    So while the device is at work on a part, one thread reads the next and another one writes the last.

    Args:
        job: the job.
    """

    def __init__(self, job: Job, _columns: pa.Schema) -> None:
        self._job, self._finder = job, load_finder(job, Found())
        self._reused = ReusedCandidates(job.reuse) if job.reuse is not None else None
        self._reading, self._device, self._assembling = Lock(), Lock(), Lock()

    def tables(self, rows: Iterator[pa.Table], tally: Tally) -> Iterator[pa.Table]:
        """Candidates of a part's texts, found together.

        Args:
            rows: unique texts, with their ids and partners.
            tally: is completed.

        Yields:
            Rows of the table.
        """
        job = self._job
        with self._reading:
            texts = pa.concat_tables(rows)
            known, stored = self._reused.of(texts) if self._reused is not None else (NONE, None)
            new = np.setdiff1d(np.arange(texts.num_rows), known)
            partners = texts.column("partner").take(pa.array(new)).to_pylist() if job.with_partner else None
            asked = self._finder.prepare(texts.column("text").take(pa.array(new)).to_pylist(), partners)
        with self._device:
            proposals = self._finder.propose(asked)
        with self._assembling:
            candidates = self._finder.assemble(asked, proposals)
            if stored is not None:
                order = np.argsort(np.concatenate([new, known]))
                joined = join_candidates([candidates, counted_again(stored, self._finder)])
                candidates = replace(select_candidates(joined, order), counts=joined.counts)
                tally.counts["reused_texts"] += len(known)
        tally.counts.update(candidates.counts)
        tally.protected.update(protected_by_entry(candidates.kept, job.identity.settings.candidates.protect))
        table = to_arrow(candidates, texts.column("text_id").to_pylist())
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"tinyaug": job.described})
        bounds = group_bounds(candidates.text_offsets)
        for first, last in pairwise(bounds):
            yield table.slice(first, last - first)


def group_bounds(text_offsets: np.ndarray) -> list[int]:
    """Bounds of row groups of bounded numbers of texts and words, so that a few texts are read cheaply.

    Args:
        text_offsets: int64 (T + 1,) first word of each text.
    """
    bounds, texts = [0], len(text_offsets) - 1
    while bounds[-1] < texts:
        first = bounds[-1]
        by_words = int(np.searchsorted(text_offsets, text_offsets[first] + ROW_GROUP_WORDS, side="right")) - 1
        bounds.append(min(first + ROW_GROUP_TEXTS, max(by_words, first + 1), texts))
    return bounds
