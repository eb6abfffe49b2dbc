"""Puts variants together: texts and edits as Arrow arrays, without a Python loop over variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from augment.candidate_table import SOURCES
from augment.ragged import offsets_of, ragged

if TYPE_CHECKING:
    from augment.draw import Draws, Jobs
    from augment.sites import Sites

EDIT = pa.struct(
    [
        pa.field("column", pa.string()),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
        pa.field("original", pa.string()),
        pa.field("replacement", pa.string()),
        pa.field("source", pa.string()),
        pa.field("rank", pa.int16()),
        pa.field("score", pa.float32()),
    ]
)


def assemble_texts(sites: Sites, jobs: Jobs, draws: Draws) -> list[pa.Array]:
    """The texts of some variants.

    Args:
        sites: the places and the pieces around them.
        jobs: J variants of examples with C columns.
        draws: their replacements.

    Returns:
        C string arrays of J texts.
    """
    text = jobs.texts.reshape(-1)  # (J, C) to (J C,)
    counts = sites.piece_offsets[text + 1] - sites.piece_offsets[text]
    _, piece = ragged(sites.piece_offsets[text], counts)
    numbers = sites.pieces[piece]
    offsets = offsets_of(counts)
    # site s of its text is piece 2 s + 1
    local = draws.sites - sites.offsets[text[draws.segments]]
    numbers[offsets[draws.segments] + 2 * local + 1] = draws.strings
    pool = pa.array(sites.pool.strings, pa.large_string())
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), pool.take(pa.array(numbers)))
    joined = pc.binary_join(lists, pa.scalar("", pa.large_string())).cast(pa.string())
    columns = jobs.texts.shape[1]
    return [joined.take(pa.array(np.arange(column, len(text), columns))) for column in range(columns)]


def real_edits(sites: Sites, draws: Draws) -> np.ndarray:
    """Which draws change something: bool (D,); drawing the word itself is no edit."""
    return draws.strings != sites.originals[draws.sites]


def assemble_edits(sites: Sites, jobs: Jobs, draws: Draws, names: list[str]) -> pa.ListArray:
    """The edits of some variants.

    Args:
        sites: the places.
        jobs: J variants.
        draws: their replacements.
        names: of the C text columns.

    Returns:
        J lists of EDIT, in the order of column and position.
    """
    edit = np.flatnonzero(real_edits(sites, draws))
    segment, site = draws.segments[edit], draws.sites[edit]
    per_job = np.bincount(segment // len(names), minlength=len(jobs))
    pool = pa.array(sites.pool.strings, pa.string())
    source = sites.candidates.sources[sites.words[site]]
    values = pa.StructArray.from_arrays(
        [
            pa.array(names, pa.string()).take(pa.array(segment % len(names))),
            pa.array(sites.starts[site]),
            pa.array(sites.ends[site]),
            pool.take(pa.array(sites.originals[site])),
            pool.take(pa.array(draws.strings[edit])),
            pa.array(SOURCES, pa.string()).take(pa.array(source)),
            pa.array(draws.ranks[edit]),
            pa.array(draws.scores[edit]),
        ],
        fields=list(EDIT),
    )
    offsets = offsets_of(per_job).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)
