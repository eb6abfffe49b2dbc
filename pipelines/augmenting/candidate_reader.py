"""Reads the candidates of single texts out of the stored table."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from augment.candidate_table import SCHEMA, from_arrow
from pipelines.augmenting.plan import part_of
from pipelines.augmenting.snapshot import TEXTS
from pipelines.augmenting.stages import CANDIDATES
from pipelines.errors import JobError
from pipelines.run_folder.parquet import RowReader
from pipelines.run_folder.records import ShardNames, read_record

if TYPE_CHECKING:
    from augment.candidate_table import Candidates
    from pipelines.run_folder.storage import Storage

OPEN_FILES = 16
COLUMNS = ["text", "words", "error"]


class CandidateReader:
    """Looks up candidates by the number of their text.

    Args:
        storage: the run directory that holds the table.
        bounds: texts of each part.
        settings_hash: what the parts must have been made with.
        with_partner: whether texts go with partners.
    """

    def __init__(self, storage: Storage, bounds: list[int], settings_hash: str, with_partner: bool) -> None:
        self._storage, self._bounds, self._hash, self._with_partner = storage, bounds, settings_hash, with_partner
        self._names = ShardNames(CANDIDATES, "part", len(bounds) - 1)
        self._open: OrderedDict[int, RowReader] = OrderedDict()

    def read(self, numbers: np.ndarray) -> Candidates:
        """Candidates of some texts.

        Args:
            numbers: int64 (T,) ascending numbers of unique texts.

        Returns:
            Their candidates, in the order of the numbers.

        Raises:
            JobError: a part of the table is missing or damaged.
        """
        parts = part_of(self._bounds, numbers)
        tables = []
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

    def texts(self, numbers: np.ndarray) -> tuple[list[str], list[str] | None]:
        """Texts by number, and the partners they are seen with if there are any."""
        reader = RowReader(self._storage, TEXTS)
        table = reader.take(numbers)
        reader.close()
        partners = table.column("partner").to_pylist() if self._with_partner else None
        return table.column("text").to_pylist(), partners

    def _reader(self, part: int) -> RowReader:
        if part not in self._open:
            if read_record(self._storage, self._names, part, self._hash) is None:
                raise JobError(
                    f"{self._storage.display(self._names.data(part))}: expected a finished part of the candidates, "
                    "found none or a damaged one; run the command again to have it redone"
                )
            if len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[part] = RowReader(self._storage, self._names.data(part))
        self._open.move_to_end(part)
        return self._open[part]
