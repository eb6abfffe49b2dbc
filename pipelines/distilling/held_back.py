"""Whether rows behind --train are rows of the dev part that was split off, or were made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.dev_split import text_digests
from pipelines.tasks.readers.columnar import decoded_array, python_values
from pipelines.tasks.readers.source import ROWS, SOURCE_IDX
from pipelines.tasks.task import AUGMENTED_COLUMNS, listed
from pipelines.wording import counted

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from distill.reading import ShardFiles
    from pipelines.tasks import Task
    from pipelines.tasks.split import Picked

VARIANT = AUGMENTED_COLUMNS[1]


def check_held_back(files: ShardFiles, dev: Picked, task: Task) -> None:
    """Refuses shards with texts of the dev part, whoever wrote them; reads text columns batch by batch.

    Of augmented rows the originals tell, for a variant that happens to equal a dev row was made of a train row. Where
    somebody left originals out, their numbers do, which hold for the file in the order that it had.

    Args:
        files: the shards.
        dev: the dev part.
        task: the task.

    Raises:
        UserError: naming the shard and some of the rows.
        DistillError: a shard that cannot be read.
    """
    import pyarrow.parquet as pq

    from distill.stores import reading

    option, varied = f"--dev-split {task.dev_split:g}", _Varied(dev)
    expected = f"expected rows that {option} leaves in the train part, found"
    for path in files.paths:
        with reading(f"texts of {path}"), pq.ParquetFile(path, filesystem=files.filesystem) as file:
            texts = _dev_texts(file, varied, task.text_columns)
        if texts:
            raise UserError(
                f"{path}: {expected} {counted(len(texts), 'text')} of the dev part ({listed(texts, 5)}); augment with "
                f"{option}, too, or leave these rows and their variants out"
            )
    if left := sorted(varied.variants - varied.originals):
        raise UserError(
            f"{files.paths[0]}: {expected} variants without originals, of {counted(len(left), 'row')} of the dev part "
            f"({SOURCE_IDX} {listed(map(str, left), 5)}); augment with {option}, too, or leave these variants out"
        )


@dataclass(frozen=True)
class _Varied:
    """Numbers of the dev part among those of augmented rows: of variants, and of originals."""

    dev: Picked
    variants: set[int] = field(default_factory=set)
    originals: set[int] = field(default_factory=set)

    def are_originals(self, batch: pa.RecordBatch) -> np.ndarray:
        """Which rows of a batch are originals (bool); notes the numbers of all."""
        original = ~(np.asarray(batch.column(VARIANT)) > 0)  # a null is none of ours
        numbers = np.asarray(batch.column(SOURCE_IDX))
        held = np.isin(numbers, self.dev.rows)
        self.originals.update(numbers[held & original].tolist())
        self.variants.update(numbers[held & ~original].tolist())
        return original


def _dev_texts(file: pq.ParquetFile, varied: _Varied, columns: tuple[str, ...]) -> list[str]:
    """The first row of a shard with each text of the dev part that it has."""
    schema, done = file.schema_arrow, 0
    found: dict[int, str] = {}
    ours = [name for name in (SOURCE_IDX, VARIANT) if name in schema.names]
    are_ours = len(ours) == 2 and all(pa.types.is_integer(schema.field(name).type) for name in ours)
    for batch in file.iter_batches(ROWS, columns=[*columns, *(ours if are_ours else ())]):
        rows = np.arange(batch.num_rows)
        if are_ours:
            rows = np.flatnonzero(varied.are_originals(batch))
        digests = _digests(batch.take(pa.array(rows)), columns)
        for place in np.flatnonzero(np.isin(digests, varied.dev.digests)):
            found.setdefault(int(digests[place]), f"row {done + rows[place]}")
        done += batch.num_rows
    return [*found.values()]


def _digests(batch: pa.RecordBatch, columns: tuple[str, ...]) -> np.ndarray:
    """Digests of the texts of rows; what is no text, which the reading refuses later, counts as an empty one."""
    values = [python_values(decoded_array(batch.column(name))) for name in columns]
    return text_digests(
        tuple(value if isinstance(value, str) else "" for value in row) for row in zip(*values, strict=True)
    )
