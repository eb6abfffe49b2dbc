"""GloVe neighbours that may stand for a word of several pieces (Algorithm 1, line 11)."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from augment.characters import is_cjk
from augment.vocabulary import is_proposable
from glove import similar_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from augment.words import WordSplitter
    from glove import WordVectors

REMEMBERED = 50_000  # words of about 500 bytes each; keeps a worker's memory bounded whatever the data


class SimilarWords:
    """Neighbours of words, each word looked up once.

    Args:
        vectors: the vectors, or None: no word has neighbours.
        splitter: says what is one word.
        k: neighbours of each word.
        punctuation: whether punctuation may be proposed.
        threads: cores to use; None for all.
    """

    def __init__(
        self, vectors: WordVectors | None, splitter: WordSplitter, k: int, punctuation: bool, threads: int | None = None
    ) -> None:
        self._vectors, self._splitter, self._k, self._punctuation = vectors, splitter, k, punctuation
        self._threads = threads
        # Neighbours as one string and one array of float32: a list of tuples would take five times the memory.
        self._known: dict[str, tuple[str, array[float]]] = {}

    def of(self, words: Sequence[str]) -> list[list[tuple[str, float]]]:
        """Finds neighbours.

        Args:
            words: Q words as their texts spell them.

        Returns:
            For each word its neighbours and cosines, best first; an empty list for a word without vector. Those of
            a CJK character are CJK characters.
        """
        if self._vectors is None:
            return [[] for _ in words]
        if len(self._known) > REMEMBERED:
            self._known.clear()
        missing = sorted(set(words) - self._known.keys())
        for some, accept in (
            ([word for word in missing if not is_cjk(word)], self._accept),
            ([word for word in missing if is_cjk(word)], self._accept_cjk),
        ):
            found = similar_words(self._vectors, some, self._k, accept, self._threads) if some else []
            for word, neighbours in zip(some, found, strict=True):
                scores = array("f", [score for _, score in neighbours])
                self._known[word] = " ".join([neighbour for neighbour, _ in neighbours]), scores
        return [list(zip(near.split(), scores, strict=True)) for near, scores in map(self._known.__getitem__, words)]

    def _accept_cjk(self, word: str) -> bool:
        return is_cjk(word) and self._accept(word)

    def _accept(self, word: str) -> bool:
        return is_proposable(word, self._splitter, self._punctuation)
