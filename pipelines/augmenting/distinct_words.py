"""The distinct words of a job's texts, collected while its input is read."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

SCHEMA = pa.schema([("word", pa.string())])
LEAST_WORDS = 8192  # fewer are looked up by each worker in some seconds, which a stage of their own would not save
WORDS_OF_PART = 32_768  # all of SST-2 or of QNLI; minutes of one core with 300 dimensions
MOST_WORDS = 1_000_000  # 100 MB; what is left out is looked up by the worker that meets it
CHUNKS_AT_ONCE = 200_000
# A tokenizer's words lie between white space and punctuation. What this takes for a word and is none, or misses, costs
# a look-up: the tokenizer itself takes ten times as long over the texts.
WORD = re.compile(r"[^\W_]+")


class DistinctWords:
    """Collects words as texts come; the same texts give the same words."""

    def __init__(self) -> None:
        self._chunks = pa.chunked_array([], pa.string())  # what stands between white space
        self._words: set[str] = set()

    def add(self, texts: pa.Array | pa.ChunkedArray | Sequence[str]) -> None:
        """Takes the words of some texts, as they spell them."""
        if len(self._words) >= MOST_WORDS:
            return
        if isinstance(texts, Sequence):
            texts = pa.array(texts, pa.string())
        for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
            found = pc.utf8_split_whitespace(chunk).flatten().unique()
            self._chunks = pa.chunked_array([*self._chunks.chunks, found.filter(pc.not_equal(found, ""))])
        if len(self._chunks) >= CHUNKS_AT_ONCE:
            self._chunks = pa.chunked_array([self._chunks.unique()])
        if len(self._chunks) >= CHUNKS_AT_ONCE:
            self._cut()

    def found(self) -> pa.Table:
        """The words, sorted, as a table of SCHEMA."""
        self._cut()
        return pa.table([sorted(self._words)], schema=SCHEMA)

    def _cut(self) -> None:
        for chunk in self._chunks.unique().to_pylist():
            self._words.update(WORD.findall(chunk))
        self._chunks = pa.chunked_array([], pa.string())


def word_bounds(words: int) -> list[int]:
    """Bounds of the parts in which neighbours are found; none where each worker had better find its own.

    Args:
        words: distinct words of the job.
    """
    return [*range(0, words, WORDS_OF_PART), words] if words >= LEAST_WORDS else []
