"""A teacher's judgements of all rows: a Parquet file beside each shard, which says of which shard and teacher it is.

A file appears whole or not at all, so that those that are there need not be made again.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from distill.reading import Columns
from pipelines.auditing.flips import Flips, find_flips
from pipelines.augmenting.stages import AUGMENTED
from pipelines.run_folder.parquet import ROW_GROUP_ROWS, RowReader, write_tables
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from pipelines.auditing.augmented import Augmented, Shard
    from pipelines.evaluating.dev_scores import Predictor

FOLDER = "audit"  # beside `data`
SHARD, JUDGE = b"shard", b"judge"  # of a file's metadata


@dataclass(frozen=True)
class JudgedBy:
    """What judgements depend on beside the rows.

    Args:
        teacher: fingerprint of the model.
        names: of its classes in order; empty for scores.
        max_length: tokens at which texts are cut.
        precision: of matrix products.
    """

    teacher: str
    names: tuple[str, ...]
    max_length: int
    precision: str

    def as_json(self) -> str:
        """The same as a file's metadata has it."""
        return json.dumps(asdict(self), sort_keys=True)


def parts_of(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows in parts that memory holds."""
    return (rows[first : first + ROW_GROUP_ROWS] for first in range(0, len(rows), ROW_GROUP_ROWS))


def judge_rows(
    audited: Augmented, shard: Shard, rows: NDArray[np.int64], originals: NDArray[np.int64], predictor: Predictor
) -> Flips:
    """Has a teacher label some rows of a shard.

    Args:
        audited: the augmentation.
        shard: of it.
        rows: int64 (R,), ascending.
        originals: (R,) the place of each row's original among them.
        predictor: the teacher.
    """
    columns = audited.task.text_columns
    reader = RowReader(audited.storage, shard.place)
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:  # object stores and samples are read alike
        write_tables(Storage(folder), "rows.parquet", (reader.take(part, list(columns)) for part in parts_of(rows)))
        reader.close()
        logits, _ = predictor.predict(f"{folder}/rows.parquet", Columns(columns))
    return find_flips(logits, originals)


def write_judgements(storage: Storage, shard: Shard, by: JudgedBy, flips: Flips) -> None:
    """Writes the judgements of all rows of a shard.

    Args:
        storage: the run directory.
        shard: that was judged.
        by: what they depend on.
        flips: of its rows, in order.
    """
    table = flips.table().replace_schema_metadata({SHARD: shard.sha256, JUDGE: by.as_json()})
    write_tables(storage, f"{AUGMENTED}/{FOLDER}/{shard.name}", [table])


def read_judgements(storage: Storage, shard: Shard, by: JudgedBy) -> Flips | None:
    """The judgements of a shard by the same teacher, if they lie there and can be read.

    Args:
        storage: the run directory.
        shard: that was judged.
        by: what they depend on.
    """
    name = f"{AUGMENTED}/{FOLDER}/{shard.name}"
    if storage.size(name) is None:
        return None
    try:
        with storage.open_input(name) as file:
            table = pq.read_table(file)
    except (pa.ArrowException, OSError):  # cut off or damaged: it is made again
        return None
    return Flips.of_table(table) if judged_of(table.schema) == (shard.sha256, by.as_json()) else None


def judged_of(schema: Any) -> tuple[str, str]:
    """The shard and the judge that a file of judgements is of; empty for another file."""
    told = schema.metadata or {}
    return told.get(SHARD, b"").decode(), told.get(JUDGE, b"").decode()
