"""Variants as users of the Python interface get them: an Arrow table, or objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from augment.assemble import EDIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from augment.variants import VariantBatch

TEXTS = ("text", "partner")  # columns of a single text, and of a pair


@dataclass(frozen=True)
class Edit:
    """One replacement in a variant.

    Args:
        column: `text`, or `partner` for a word of the second text of a pair.
        start, end: code points of the replaced word in the original text.
        original: the word that stood there.
        replacement: what stands in the variant.
        source: `mlm` or `glove`.
        rank: place among the word's candidates, from 0.
        score: probability or cosine.
    """

    column: str
    start: int
    end: int
    original: str
    replacement: str
    source: str
    rank: int
    score: float


@dataclass(frozen=True)
class Variant:
    """A text, or a pair of texts, with some words replaced.

    Args:
        text: the variant; of a pair that of its first text.
        edits: what was replaced, in order; spans are code points of the original text.
        partner: of a pair the variant of its second text.
    """

    text: str
    edits: tuple[Edit, ...]
    partner: str | None = None


def variant_table(batches: Sequence[tuple[VariantBatch, np.ndarray]], names: Sequence[str]) -> pa.Table:
    """Variants as one table.

    Args:
        batches: variants of R texts or pairs, and int64 (R,) the index of each in the call.
        names: of the C columns of texts.

    Returns:
        Columns `source_idx`, `variant`, those of the texts and `edits`, in the order of the batches.
    """
    schema = pa.schema(
        [
            pa.field("source_idx", pa.int64()),
            pa.field("variant", pa.int32()),
            *(pa.field(name, pa.string()) for name in names),
            pa.field("edits", pa.list_(EDIT)),
        ]
    )
    return pa.Table.from_batches(
        [
            pa.RecordBatch.from_arrays(
                [pa.array(places[batch.rows]), pa.array(batch.variants.astype(np.int32)), *batch.texts, batch.edits],
                schema=schema,
            )
            for batch, places in batches
        ],
        schema,
    )


def variants_by_text(table: pa.Table, texts: int) -> list[list[Variant]]:
    """The same as objects.

    Args:
        table: variants, with columns named as TEXTS.
        texts: T texts or pairs that were given.

    Returns:
        T lists of variants, without the originals.
    """
    found: list[list[Variant]] = [[] for _ in range(texts)]
    for batch in table.to_batches():
        place, variant, text, *partner, edits = batch.columns
        objects = list(map(Edit, *(field.to_pylist() for field in edits.values.flatten())))
        bounds = edits.offsets.to_pylist()
        partners = partner[0].to_pylist() if partner else [None] * len(text)
        rows = zip(place.to_pylist(), variant.to_pylist(), text.to_pylist(), partners, bounds, bounds[1:], strict=False)
        for index, number, spelled, other, first, last in rows:
            if number > 0:
                found[index].append(Variant(spelled, tuple(objects[first:last]), other))
    return found
