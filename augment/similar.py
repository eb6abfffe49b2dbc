"""GloVe neighbours that may stand for a word of several pieces (Algorithm 1, line 11)."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import pyarrow as pa

from augment.characters import is_cjk
from augment.vocabulary import is_proposable
from glove import similar_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from augment.words import WordSplitter
    from glove import WordVectors

REMEMBERED = 50_000  # words of about 500 bytes each; keeps a worker's memory bounded whatever the data
DEVICE_WORDS = 1024  # words with a vector, from which on copying all 0.5 GB to a GPU takes less time than it saves
DEVICE_THREADS = 4  # blocks at once there, each of 0.4 GB with 400,000 words; they are scored again by as many cores
SCHEMA = pa.schema([("word", pa.string()), ("neighbours", pa.list_(pa.string())), ("scores", pa.list_(pa.float32()))])

Neighbours = list[tuple[str, float]]


class KnownNeighbours:
    """Neighbours that were found before, to be looked up.

    Args:
        table: of SCHEMA.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table.combine_chunks()
        self._rows = {word: row for row, word in enumerate(table.column("word").to_pylist())}

    def of(self, words: Sequence[str]) -> dict[str, Neighbours]:
        """The neighbours of those words that are in the table."""
        known = [word for word in words if word in self._rows]
        found = self._table.take(pa.array([self._rows[word] for word in known], pa.int64()))
        lists = (found.column(name).to_pylist() for name in ("neighbours", "scores"))
        return {word: list(zip(*both, strict=True)) for word, *both in zip(known, *lists, strict=True)}


class SimilarWords:
    """Neighbours of words, each word looked up once.

    Args:
        vectors: the vectors, or None: no word has neighbours.
        splitter: says what is one word.
        k: neighbours of each word.
        punctuation: whether punctuation may be proposed.
        threads: cores to use; None for all.
        device: a GPU that looks for the neighbours of many words at once, or `cpu`; the result is the same.

    Attributes:
        known: what need not be looked for, since it was found before with the same vectors, splitter, k and
            punctuation; None for nothing.
    """

    def __init__(
        self,
        vectors: WordVectors | None,
        splitter: WordSplitter,
        k: int,
        punctuation: bool,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        self._vectors, self._splitter, self._k, self._punctuation = vectors, splitter, k, punctuation
        self._threads, self._device = threads, device
        self.known: KnownNeighbours | None = None
        # Neighbours as one string and one array of float32: a list of tuples would take five times the memory.
        self._remembered: dict[str, tuple[str, array[float]]] = {}

    def of(self, words: Sequence[str]) -> list[Neighbours]:
        """Finds neighbours.

        Args:
            words: Q words as their texts spell them.

        Returns:
            For each word its neighbours and cosines, best first; an empty list for a word without vector. Those of
            a CJK character are CJK characters.
        """
        if self._vectors is None:
            return [[] for _ in words]
        if len(self._remembered) > REMEMBERED:
            self._remembered.clear()
        missing = sorted(set(words) - self._remembered.keys())
        found = self.known.of(missing) if self.known is not None else {}
        found |= self._search(self._vectors, [word for word in missing if word not in found])
        for word, neighbours in found.items():
            scores = array("f", [score for _, score in neighbours])
            self._remembered[word] = " ".join([neighbour for neighbour, _ in neighbours]), scores
        return [
            list(zip(near.split(), scores, strict=True)) for near, scores in map(self._remembered.__getitem__, words)
        ]

    def table(self, words: Sequence[str]) -> pa.Table:
        """Neighbours to be kept for `KnownNeighbours`.

        Args:
            words: different words.

        Returns:
            A row of SCHEMA for each word, in order, those without neighbours included: nobody looks for these again.
        """
        found = self.known.of(words) if self.known is not None else {}
        if self._vectors is not None:
            found |= self._search(self._vectors, [word for word in words if word not in found])
        rows = [(word, found.get(word, [])) for word in words]
        lists = ([[entry[place] for entry in entries] for _, entries in rows] for place in (0, 1))
        return pa.table([[word for word, _ in rows], *lists], schema=SCHEMA)

    def _search(self, vectors: WordVectors, words: Sequence[str]) -> dict[str, Neighbours]:
        found: dict[str, Neighbours] = {}
        for some, accept in (
            ([word for word in words if not is_cjk(word)], self._accept),
            ([word for word in words if is_cjk(word)], self._accept_cjk),
        ):
            if some:
                found.update(zip(some, self._similar(vectors, some, accept), strict=True))
        return found

    def _similar(self, vectors: WordVectors, words: list[str], accept: Callable[[str], bool]) -> list[Neighbours]:
        if self._device != "cpu" and len(words) >= DEVICE_WORDS <= sum(_has_vector(vectors, word) for word in words):
            # Here, since only this needs torch.
            from augment.device_scores import OutOfMemoryError, VectorsOnDevice, full_precision

            try:
                with full_precision():
                    scores_of = VectorsOnDevice(vectors.unit_rows, self._device)
                    return similar_words(vectors, words, self._k, accept, DEVICE_THREADS, scores_of)
            except OutOfMemoryError:
                pass  # the processor has room
        return similar_words(vectors, words, self._k, accept, self._threads)

    def _accept_cjk(self, word: str) -> bool:
        return is_cjk(word) and self._accept(word)

    def _accept(self, word: str) -> bool:
        return is_proposable(word, self._splitter, self._punctuation)


def _has_vector(vectors: WordVectors, word: str) -> bool:
    return vectors.row(word) is not None or vectors.row(word.lower()) is not None  # as `glove.similar_words` looks
