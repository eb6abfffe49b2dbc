"""Candidates of many texts as flat arrays, and as the Arrow table that is stored (design section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from augment.kept import Sorted

SOURCES = ("mlm", "glove")
MLM, GLOVE = range(2)
WORD = pa.struct(
    [
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
        pa.field("source", pa.string()),
        pa.field("replacements", pa.list_(pa.string())),
        pa.field("scores", pa.list_(pa.float32())),
    ]
)
OWN_CASE = b"own_case"
SCHEMA = pa.schema(
    [
        pa.field("text_id", pa.binary(16)),
        pa.field("text", pa.string()),
        pa.field("words", pa.list_(WORD)),
        pa.field("error", pa.string()),
    ]
)


@dataclass(frozen=True)
class Candidates:
    """The eligible words of T texts and what may stand in their place.

    Args:
        texts: the T texts.
        text_offsets: int64 (T + 1,) first word of each text.
        starts, ends: int32 (W,) code points of each word.
        sources: int8 (W,) index into SOURCES: which of the two was asked.
        offsets: int64 (W + 1,) first candidate of each word.
        codes: int32 (C,) index into `spellings`, best candidate first.
        scores: float32 (C,) cosine, or probability under the softmax over the whole vocabulary.
        spellings: distinct replacements as the vocabulary has them.
        errors: text number -> why a text could not be worked on; such a text has no words.
        counts: what was done, by name.
        kept: eligible words of each text that stay, by reason; empty where the table was stored.
        own_case: for each of SOURCES whether its replacements keep their own case, as those of a cased vocabulary do.
    """

    texts: list[str]
    text_offsets: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    sources: np.ndarray
    offsets: np.ndarray
    codes: np.ndarray
    scores: np.ndarray
    spellings: list[str]
    errors: dict[int, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    kept: list[Sorted] = field(default_factory=list)
    own_case: tuple[bool, ...] = (False, False)

    def of_word(self, word: int) -> list[tuple[str, float]]:
        """Replacements and scores of one word, best first."""
        rows = range(int(self.offsets[word]), int(self.offsets[word + 1]))
        return [(self.spellings[self.codes[row]], float(self.scores[row])) for row in rows]


def to_arrow(candidates: Candidates, text_ids: list[bytes]) -> pa.Table:
    """Candidates as the stored table.

    Args:
        candidates: of T texts.
        text_ids: T digests of 16 bytes.

    Returns:
        One row for each text, in order; the schema's metadata names the sources with `own_case`, if there are any.
    """
    cased = [name for name, own in zip(SOURCES, candidates.own_case, strict=True) if own]
    offsets = pa.array(candidates.offsets.astype(np.int32))
    replacements = pa.DictionaryArray.from_arrays(
        pa.array(candidates.codes), pa.array(candidates.spellings, pa.string())
    ).cast(pa.string())
    sources = pa.DictionaryArray.from_arrays(pa.array(candidates.sources), pa.array(SOURCES)).cast(pa.string())
    words = pa.StructArray.from_arrays(
        [
            pa.array(candidates.starts),
            pa.array(candidates.ends),
            sources,
            pa.ListArray.from_arrays(offsets, replacements),
            pa.ListArray.from_arrays(offsets, pa.array(candidates.scores)),
        ],
        fields=list(WORD),
    )
    return pa.table(
        [
            pa.array(text_ids, pa.binary(16)),
            pa.array(candidates.texts, pa.string()),
            pa.ListArray.from_arrays(pa.array(candidates.text_offsets.astype(np.int32)), words),
            pa.array([candidates.errors.get(row) for row in range(len(candidates.texts))], pa.string()),
        ],
        schema=SCHEMA.with_metadata({OWN_CASE: ",".join(cased)}) if cased else SCHEMA,
    )


def from_arrow(table: pa.Table) -> Candidates:
    """Candidates out of the stored table.

    Args:
        table: rows of it, in any selection; columns text, words and error are read.

    Returns:
        The candidates of its texts, in its order.
    """
    words_column = table.column("words").combine_chunks()
    text_offsets = _offsets(words_column)
    words = words_column.flatten()
    replacements = words.field("replacements")
    encoded = replacements.flatten().dictionary_encode()
    sources = words.field("source").dictionary_encode()
    names = [SOURCES.index(name) for name in sources.dictionary.to_pylist()]
    errors = {row: error for row, error in enumerate(table.column("error").to_pylist()) if error is not None}
    cased = (table.schema.metadata or {}).get(OWN_CASE, b"").decode().split(",")
    return Candidates(
        table.column("text").to_pylist(),
        text_offsets,
        words.field("start").to_numpy(),
        words.field("end").to_numpy(),
        np.array(names, dtype=np.int8)[sources.indices.to_numpy(zero_copy_only=False)],
        _offsets(replacements),
        encoded.indices.to_numpy(),
        words.field("scores").flatten().to_numpy(),
        encoded.dictionary.to_pylist(),
        errors,
        own_case=tuple(name in cased for name in SOURCES),
    )


def word_counts(sources: np.ndarray, sizes: np.ndarray) -> dict[str, int]:
    """Eligible words, by whom was asked and what came of it.

    Args:
        sources: int8 (W,) index into SOURCES.
        sizes: int64 (W,) candidates of each.
    """
    return {
        "eligible_words": len(sources),
        "single_piece_words": int((sources == MLM).sum()),
        "multi_piece_words": int((sources == GLOVE).sum()),
        "words_with_mlm_candidates": int(((sources == MLM) & (sizes > 0)).sum()),
        "words_with_glove_candidates": int(((sources == GLOVE) & (sizes > 0)).sum()),
        "words_without_candidates": int((sizes == 0).sum()),
    }


def _offsets(lists: pa.ListArray) -> np.ndarray:
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0] if len(offsets) else np.zeros(1, dtype=np.int64)
