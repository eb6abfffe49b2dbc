"""The distinct words of a job's texts, collected while its input is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        self._chunks: set[str] = set()
        self._words: set[str] = set()

    def add(self, texts: Iterable[str]) -> None:
        """Takes the words of some texts, as they spell them."""
        if len(self._words) >= MOST_WORDS:
            return
        for text in texts:
            self._chunks.update(text.split())
        if len(self._chunks) >= CHUNKS_AT_ONCE:
            self._cut()

    def found(self) -> pa.Table:
        """The words, sorted, as a table of SCHEMA."""
        self._cut()
        return pa.table([sorted(self._words)], schema=SCHEMA)

    def _cut(self) -> None:
        for chunk in self._chunks:
            self._words.update(WORD.findall(chunk))
        self._chunks.clear()


def word_bounds(words: int) -> list[int]:
    """Bounds of the parts in which neighbours are found; none where each worker had better find its own.

    Args:
        words: distinct words of the job.
    """
    return [*range(0, words, WORDS_OF_PART), words] if words >= LEAST_WORDS else []
