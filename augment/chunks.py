"""Cuts a shard's source rows into runs whose variants fit into memory together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_ROWS = 4096
CHUNK_BYTES = 32 << 20  # of rows held at once; pieces of texts and edits take about ten times that
ROW_BYTES = 200  # what a row takes beside its columns, its edits above all
MOST_BYTES = 1 << 30  # of one example's rows: an Arrow string array holds 2 GiB
BLOCK = 16  # rows weighed together, which is ten times faster, as long as they are light


def row_costs(rows: pa.Table, copies: int | np.ndarray) -> np.ndarray:
    """Bytes that the rows made from each source row take.

    Args:
        rows: R source rows with all their columns.
        copies: rows made from each, one number or int64 (R,).

    Returns:
        float64 (R,).
    """
    sizes, copies = np.empty(rows.num_rows), np.broadcast_to(copies, rows.num_rows)
    for first in range(0, rows.num_rows, BLOCK):
        block = rows.slice(first, BLOCK)
        if block.nbytes * copies[first : first + BLOCK].max() > CHUNK_BYTES / BLOCK:
            sizes[first : first + BLOCK] = [block.slice(row, 1).nbytes for row in range(block.num_rows)]
        else:
            sizes[first : first + BLOCK] = block.nbytes / block.num_rows
    return (sizes + ROW_BYTES) * copies


def chunk_bounds(costs: np.ndarray) -> list[int]:
    """Bounds of the chunks: chunk i holds the rows from bounds[i] up to bounds[i + 1].

    Args:
        costs: float64 (R,) bytes of each row's variants; a row that is heavier than a chunk stands alone.
    """
    spent, bounds = np.cumsum(costs), [0]
    while bounds[-1] < len(costs):
        first = bounds[-1]
        before = spent[first - 1] if first else 0.0
        last = int(np.searchsorted(spent, before + CHUNK_BYTES, side="right"))
        bounds.append(min(max(last, first + 1), first + CHUNK_ROWS, len(costs)))
    return bounds
