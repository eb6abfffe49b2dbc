"""How long texts are before they are cut, from a sample spread over a data set, and whether there are any words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from distill.reading import read_rows
from distill.stores import reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from distill.shards import ShardStream

SAMPLED_ROWS = 4_096
SAMPLED_CHUNKS = 16  # of a larger data set: each reads a row group


def whole_lengths(stream: ShardStream) -> NDArray[np.int64]:
    """Tokens of rows, special ones included, before the cut: of all rows, or of about `SAMPLED_ROWS` of them.

    Raises:
        DistillError: a row group that cannot be read.
    """
    tokenizer = Tokenizer.from_str(stream.tokenizer_json)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    chunks = stream.chunks
    if stream.files.rows > SAMPLED_ROWS:
        places = np.unique(np.linspace(0, len(chunks) - 1, SAMPLED_CHUNKS).round().astype(int))
        rows = -(-SAMPLED_ROWS // len(places))
        chunks = [replace(chunks[place], rows=min(chunks[place].rows, rows)) for place in places]
    return read_rows(stream.files, chunks, replace(stream.columns, label=None), tokenizer).lengths.astype(np.int64)


def all_empty(stream: ShardStream) -> bool:
    """Whether all texts are empty or white space; reading stops with the first row group that has a word.

    Raises:
        DistillError: a row group that cannot be read.
    """
    files, names = stream.files, list(stream.columns.texts)
    for path, sizes in zip(files.paths, files.row_groups, strict=True):
        with reading(f"texts of {path}"), pq.ParquetFile(path, filesystem=files.filesystem) as file:
            for group in range(len(sizes)):
                for column in file.read_row_group(group, columns=names).columns:
                    trimmed = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
                    if pc.any(pc.not_equal(trimmed, "")).as_py():
                        return False
    return True
