"""The stage that finds GloVe's neighbours once a job: distinct words in, a table of neighbours out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from augment.similar import SimilarWords
from augment.words import eligibility
from pipelines.augmenting.models import NEIGHBOURS, known_neighbours, load_words
from pipelines.augmenting.run_file import existing_run
from pipelines.augmenting.snapshot import WORDS
from pipelines.augmenting.stages import Stage
from pipelines.found import Found
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.augmenting.snapshot import Snapshot
    from pipelines.augmenting.stages import Job, Tally


def neighbour_stages(job: Job, snapshot: Snapshot) -> list[Stage]:
    """The stage, if the words of a job are to have a table of neighbours.

    Args:
        job: the job.
        snapshot: its input.
    """
    bounds = snapshot.word_bounds
    if not bounds:
        return []
    worker = partial(NeighbourWorker, len(bounds) == 2)
    return [Stage(NEIGHBOURS, job, "part", WORDS, bounds, job.candidates_hash, False, (), worker, gpu=True)]


class NeighbourWorker:
    """Finds the neighbours of those words that have several pieces.

    Args:
        alone: whether a single part is to be made, which then has all cores, and no GPU: copying the vectors there
            would take as long.
        job: the job.
        found: what the command found already; None in a process of its own.
    """

    def __init__(self, alone: bool, job: Job, _columns: pa.Schema, found: Found | None = None) -> None:
        import torch

        settings = job.identity.settings
        self._splitter, vectors = load_words(job, found or Found())
        self._eligible = eligibility(settings.candidates)
        self._similar = SimilarWords(
            vectors,
            self._splitter,
            settings.candidates.k,
            settings.candidates.punctuation,
            None if alone else settings.compute.threads,
            "cpu" if alone or not torch.cuda.is_available() else settings.compute.device,
        )
        if job.reuse is not None:
            earlier = existing_run(Storage(job.reuse))
            self._similar.known = known_neighbours(job.reuse, earlier.candidates_hash)

    def tables(self, rows: Iterator[pa.Table], tally: Tally) -> Iterator[pa.Table]:
        """Neighbours of a part's words.

        Args:
            rows: distinct words.
            tally: is completed.

        Yields:
            Rows of `augment.similar.SCHEMA`.
        """
        words = pa.concat_tables(rows).column("word").to_pylist()
        split = self._splitter.split(words)
        whole = np.flatnonzero(np.diff(split.offsets) == 1)
        several = whole[~split.single_piece[split.offsets[whole]]].tolist()
        asked = [words[number] for number in several if self._eligible(words[number])]
        table = self._similar.table(asked)
        found = np.count_nonzero(table.column("neighbours").combine_chunks().value_lengths())
        tally.counts.update(words=len(words), multi_piece_words=len(asked), words_with_neighbours=int(found))
        yield table
