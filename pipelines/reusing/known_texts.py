"""Texts whose candidates an earlier run has stored, by their digests."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from augment.text_numbers import TextNumbers
from pipelines.augmenting.run_file import existing_run
from pipelines.augmenting.snapshot import TEXTS, read_snapshot
from pipelines.augmenting.sources import StoredCandidates
from pipelines.augmenting.stages import CANDIDATES, Job
from pipelines.errors import JobError
from pipelines.machine.hardware import hardware_of
from pipelines.run_folder.parquet import RowReader
from pipelines.run_folder.records import ShardNames, read_record
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

    from augment.candidate_table import Candidates


class KnownTexts:
    """Finds texts in an earlier run whose candidates were made on the kind of hardware that this process has.

    Args:
        folder: of the run; it has the settings, models and software of this one.

    Raises:
        JobError: it is not there any more.
    """

    def __init__(self, folder: str) -> None:
        from augment.masked_lm import resolve_device

        storage = Storage(folder)
        run, snapshot = existing_run(storage), read_snapshot(storage)
        if snapshot is None:
            raise JobError(f"{storage.display()}: expected the run whose candidates are reused, found it damaged")
        self._earlier = Job(folder, folder, run.identity, run.candidates_hash)
        self._bounds, names = snapshot.text_bounds, ShardNames(CANDIDATES, "part", len(snapshot.text_bounds) - 1)
        here = hardware_of(str(resolve_device(run.identity.settings.compute.device)))
        records = (read_record(storage, names, part, run.candidates_hash) for part in range(names.parts))
        stored = [record is not None and record.hardware == here for record in records]
        self._stored = np.repeat(stored, [last - first for first, last in pairwise(self._bounds)])
        reader = RowReader(storage, TEXTS)
        self._numbers = TextNumbers()
        self._numbers.add(_digests(reader.range(0, reader.rows, ["text_id"])))
        reader.close()

    @property
    def count(self) -> int:
        """Texts of the earlier run."""
        return len(self._stored)

    def numbers(self, texts: pa.Table) -> np.ndarray:
        """Numbers of texts in the earlier run.

        Args:
            texts: T rows of the input's texts.

        Returns:
            int64 (T,), -1 for those whose candidates are not stored there.
        """
        numbers, _ = self._numbers.add(_digests(texts))
        known = numbers < self.count
        return np.where(known & self._stored[np.where(known, numbers, 0)], numbers, -1)


class ReusedCandidates(KnownTexts):
    """Reads what an earlier run has stored; arguments as of `KnownTexts`."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._source = StoredCandidates(self._earlier, self._bounds)

    def of(self, texts: pa.Table) -> tuple[np.ndarray, Candidates | None]:
        """The candidates of those texts that the earlier run could work on.

        Args:
            texts: T distinct rows of the input's texts.

        Returns:
            int64 (S,) places of the texts, and the candidates of these in that order; None where there are none.

        Raises:
            JobError: the earlier run is damaged.
        """
        from augment.stored import select_candidates

        numbers = self.numbers(texts)
        places = np.flatnonzero(numbers >= 0)
        places = places[np.argsort(numbers[places])]
        if not len(places):
            return places, None
        try:
            stored = self._source.read(numbers[places], np.ones_like(places)).candidates
        except JobError as error:
            raise JobError(
                f"candidates to be reused: {error}; or start afresh with --overwrite --reuse none"
            ) from error
        good = np.array([place for place in range(len(places)) if place not in stored.errors], dtype=np.int64)
        return places[good], select_candidates(stored, good)


def _digests(texts: pa.Table) -> np.ndarray:
    """uint64 (T, 2)."""
    ids = b"".join(texts.column("text_id").to_pylist())
    return np.frombuffer(ids, dtype=np.uint64).reshape(-1, 2)
