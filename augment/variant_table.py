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

FIELDS = [field for field in EDIT if field.name != "column"]  # there is only one
SCHEMA = pa.schema(
    [
        pa.field("source_idx", pa.int64()),
        pa.field("variant", pa.int32()),
        pa.field("text", pa.string()),
        pa.field("edits", pa.list_(pa.struct(FIELDS))),
    ]
)


@dataclass(frozen=True)
class Edit:
    """One replacement in a variant.

    Args:
        start, end: code points of the replaced word in the original text.
        original: the word that stood there.
        replacement: what stands in the variant.
        source: `mlm` or `glove`.
        rank: place among the word's candidates, from 0.
        score: probability or cosine.
    """

    start: int
    end: int
    original: str
    replacement: str
    source: str
    rank: int
    score: float


@dataclass(frozen=True)
class Variant:
    """A text with some words replaced.

    Args:
        text: the variant.
        edits: what was replaced, in order; spans are code points of the original text.
    """

    text: str
    edits: tuple[Edit, ...]


def variant_table(batches: Sequence[tuple[VariantBatch, np.ndarray]]) -> pa.Table:
    """Variants of single texts as one table.

    Args:
        batches: variants of R texts with one column, and int64 (R,) the index of each text in the call.

    Returns:
        A table of SCHEMA, in the order of the batches.
    """
    return pa.Table.from_batches([_record_batch(batch, places) for batch, places in batches], SCHEMA)


def variants_by_text(table: pa.Table, texts: int) -> list[list[Variant]]:
    """The same as objects.

    Args:
        table: variants, of SCHEMA.
        texts: T texts that were given.

    Returns:
        T lists of variants, without the originals.
    """
    found: list[list[Variant]] = [[] for _ in range(texts)]
    for batch in table.to_batches():
        place, variant, text, edits = batch.columns
        objects = list(map(Edit, *(field.to_pylist() for field in edits.values.flatten())))
        bounds = edits.offsets.to_pylist()
        rows = zip(place.to_pylist(), variant.to_pylist(), text.to_pylist(), bounds, bounds[1:], strict=False)
        for index, number, spelled, first, last in rows:
            if number > 0:
                found[index].append(Variant(spelled, tuple(objects[first:last])))
    return found


def _record_batch(batch: VariantBatch, places: np.ndarray) -> pa.RecordBatch:
    values = dict(zip((field.name for field in EDIT), batch.edits.values.flatten(), strict=True))
    edits = pa.StructArray.from_arrays([values[field.name] for field in FIELDS], fields=FIELDS)
    columns = [
        pa.array(places[batch.rows]),
        pa.array(batch.variants.astype(np.int32)),
        batch.texts[0],
        pa.ListArray.from_arrays(batch.edits.offsets, edits),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
