"""Word vectors from GloVe and word2vec files: memory-mapped, with exact nearest neighbours for many words at once.

Reads any source with `load_vectors`; `glove.cache` is the one module that writes.
"""

from glove.errors import VectorsError
from glove.neighbours import fold_case, nearest_neighbours, round_significant, similar_words
from glove.sources import load_vectors
from glove.vectors import WordVectors, vectors_from_arrays

__all__ = [
    "VectorsError",
    "WordVectors",
    "fold_case",
    "load_vectors",
    "nearest_neighbours",
    "round_significant",
    "similar_words",
    "vectors_from_arrays",
]
