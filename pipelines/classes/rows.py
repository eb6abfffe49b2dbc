"""The number of variants of each row, as the worker that draws them needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from augment.draw import DrawEach
from pipelines.augmenting.plan import varied_texts
from pipelines.augmenting.snapshot import ROWS
from pipelines.classes.numbers import balanced, of_rows
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from augment.presets import DrawSettings
    from pipelines.augmenting.stages import Job

CLASS_ROWS = "rows_of_class "  # of counts: and the class


class RowNumbers:
    """How many variants the rows of a job get.

    Args:
        job: the job; to balance classes, the labels of all its rows are read.
    """

    def __init__(self, job: Job) -> None:
        self._settings, self._label = job.identity.settings, job.task.label
        self._by_class = np.array(self._settings.by_class or (), np.int64)
        if self._settings.balance:
            import pyarrow.parquet as pq

            with Storage(job.source).open_input(ROWS) as stream:
                table = pq.read_table(stream, columns=["source_idx", self._label.column])
            labels, draw = table.column(self._label.column).to_numpy(), self._settings.draw
            counts = np.bincount(labels, minlength=len(self._label.names)).tolist()
            numbers = balanced(self._label, counts, draw.n, varied_texts(draw, len(job.task.text_columns)))
            self._source_idx, self._each = table.column("source_idx").to_numpy(), of_rows(labels, numbers)

    def settings_of(self, rows: pa.Table) -> DrawSettings:
        """How the variants of some rows are drawn: as many of each, or each its own number.

        Args:
            rows: R of the job's, with source_idx and label.
        """
        if self._settings.balance:
            each = self._each[np.searchsorted(self._source_idx, rows.column("source_idx").to_numpy())]
        elif len(self._by_class):
            each = self._by_class[rows.column(self._label.column).to_numpy()]
        else:
            return self._settings.draw
        return DrawEach(**vars(self._settings.draw), each=each)

    def counts(self, rows: pa.Table, made: np.ndarray) -> dict[str, int]:
        """Rows of each class, for the manifest, where their numbers depend on it.

        Args:
            rows: R of the job's.
            made: int64 (J,) the row that each augmented one is of.
        """
        if not (self._settings.balance or len(self._by_class)):
            return {}
        names = self._label.names
        found = np.bincount(rows.column(self._label.column).to_numpy()[made], minlength=len(names))
        return {f"{CLASS_ROWS}{name}": int(count) for name, count in zip(names, found, strict=True)}


def class_rows(counts: dict[str, int], names: Sequence[str]) -> dict[str, int]:
    """Class -> its augmented rows, by what `RowNumbers.counts` counted; empty where nothing was."""
    found = {name: counts.get(f"{CLASS_ROWS}{name}") for name in names}
    return {name: count for name, count in found.items() if count is not None}
