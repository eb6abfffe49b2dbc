"""Small Parquet data sets of drawn sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from distill.reading import Columns, open_shards
from distill.shards import ShardStream, StreamSettings
from tests.fixtures import WHOLE_WORDS, tiny_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = Columns(("sentence",), "label", 2)


def drawn_table(rows: int, seed: int, longest: int = 12) -> pa.Table:
    """Sentences of 1 to `longest` words, a partner text, a label and a column that nobody asks for."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WHOLE_WORDS, int(rng.integers(1, longest + 1)))) for _ in range(rows)]
    return pa.table(
        {
            "sentence": texts,
            "partner": texts[::-1],
            "label": pa.array(rng.integers(0, 2, rows)),
            "unused": ["x" * 50] * rows,
        }
    )


def write_shards(folder: Path, sizes=(37, 50, 13), group: int = 10, longest: int = 12) -> Path:
    """One Parquet file for each size."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(sizes):
        path = folder / f"train-{number:05d}-of-{len(sizes):05d}.parquet"
        pq.write_table(drawn_table(rows, number, longest), path, row_group_size=group)
    return folder


def open_stream(folder: Path, columns: Columns = COLUMNS, **changes) -> ShardStream:
    """A stream with small pools, read in this process."""
    tokenizer = tiny_tokenizer()
    small = {"max_length": 16, "batch_rows": 8, "pool_rows": 40, "chunk_rows": 7, "workers": 0, "seed": 3}
    settings = StreamSettings(**(small | changes))
    files = open_shards(str(folder), columns)
    return ShardStream(files, columns, tokenizer.backend_tokenizer.to_str(), tokenizer.pad_token_id, settings)
