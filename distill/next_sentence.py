"""Packs the sentences of a corpus into pairs of segments for next-sentence prediction (BERT).

Source: J. Devlin, M.-W. Chang, K. Lee and K. Toutanova, BERT (2018), section 3.1 and appendix A.2, and the authors'
create_pretraining_data.py, with two differences. The corpus is read once, a few million tokens at a time, so a second
segment comes from another document among those; and what is random is drawn by a hash of a pair's number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from distill.errors import DistillError
from distill.order import shares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from distill.packing import Packing

POOL_TOKENS = 1 << 21  # held at once: second segments are drawn from their documents
SHORT = 0.1  # share of the pairs of which fewer tokens are wanted, for models also meet short texts
RANDOM = 0.5  # share of the pairs whose second segment is from another document
_PAIR, _CUT = 31, 32  # purposes of the draws


class SentencePair(NamedTuple):
    """[CLS] A [SEP] B [SEP].

    Attributes:
        ids: token ids, special ones included.
        types: segment id of each token: 0 up to the first [SEP], 1 after it.
        next: 0 where B continues A, 1 where it is from another document (as transformers numbers them).
    """

    ids: list[int]
    types: list[int]
    next: int


@dataclass
class Document:
    """The sentences of a document, or of a part of a very long one.

    Attributes:
        sentences: token ids of each; none is empty.
        read: for each sentence, what had been read of the corpus with it: sentences and ends of documents.
    """

    sentences: list[list[int]] = field(default_factory=list)
    read: list[int] = field(default_factory=list)


def pack_pairs(
    sentences: Iterable[list[int] | None], packing: Packing, packed: Callable[[int], None] = lambda _: None
) -> Iterator[SentencePair]:
    """Packs each document into pairs of about `packing.length` tokens; what is not used of it begins the next pair.

    Sentences are gathered until they fill a pair (one in ten pairs is of a random shorter length). A is the first ones
    of them, up to a random end; B the rest or, for half of the pairs and where there is one sentence alone, sentences
    of another document, from a random one on. Of a pair that is too long the longer segment loses tokens, at random
    ends.

    Args:
        sentences: ids of each sentence; None ends a document.
        packing: length and special tokens; its share of pairs is of no use here.
        packed: is told after each pair how many of the sentences and Nones it and those before it took.

    Raises:
        DistillError: fewer than two documents, or pairs of fewer than five tokens.
    """
    if packing.length < 5:
        raise DistillError(f"expected pairs of at least 5 tokens; found {packing.length}. 128 is usual.")
    number, before = 0, list[Document]()
    for pool in _pools(sentences):
        others = pool if len(pool) > 1 else [*before[-1:], *pool]  # the last pool may have a single one
        if len(others) < 2:
            raise DistillError(
                "expected two documents or more, for next-sentence prediction takes second segments from another one; "
                "found one. Set documents apart by blank lines."
            )
        for place in range(len(others) - len(pool), len(others)):
            for pair in _pairs_of(others, place, packing, number, packed):
                yield pair
                number += 1
        before = pool


def _pools(sentences: Iterable[list[int] | None]) -> Iterator[list[Document]]:
    """Documents of about POOL_TOKENS; one of more than half of them comes in parts."""
    pool, current, tokens, size = list[Document](), Document(), 0, 0
    for count, ids in enumerate(chain(sentences, [None]), 1):
        if ids:
            current.sentences.append(ids)
            current.read.append(count)
            size += len(ids)
        if current.sentences and (ids is None or size >= POOL_TOKENS // 2):
            pool.append(current)
            tokens += size
            current, size = Document(), 0
            if tokens >= POOL_TOKENS:
                yield pool
                pool, tokens = [], 0
    if pool:
        yield pool


def _pairs_of(
    documents: list[Document], place: int, packing: Packing, number: int, packed: Callable[[int], None]
) -> Iterator[SentencePair]:
    """The pairs of the document at a place, the first of which has `number`; the others give random segments."""
    document = documents[place]
    first, last, room = 0, len(document.sentences), packing.length - 3
    while first < last:
        short, wanted, split, random, other, start = shares(np.arange(6, dtype=np.uint64), _PAIR, number).tolist()
        target = 2 + int(wanted * (room - 1)) if short < SHORT else room
        end, size = first, 0
        while end < last and size < target:
            size += len(document.sentences[end])
            end += 1
        cut = first + (1 + int(split * (end - first - 1)) if end - first > 1 else 1)
        a = [*chain.from_iterable(document.sentences[first:cut])]
        is_random = end - first == 1 or random < RANDOM
        if is_random:
            index = int(other * (len(documents) - 1))
            b = _beginning(documents[index + (index >= place)], start, target - len(a))
            end = cut  # the sentences that were not used begin the next pair
        else:
            b = [*chain.from_iterable(document.sentences[cut:end])]
        a, b = _fitted(a, b, room, number)
        packed(document.read[end - 1])
        ids = [packing.first, *a, packing.last, *b, packing.last]
        yield SentencePair(ids, [0] * (len(a) + 2) + [1] * (len(b) + 1), int(is_random))
        first, number = end, number + 1


def _beginning(document: Document, start: float, wanted: int) -> list[int]:
    """Sentences of a document from a random one on, until they have the tokens that are wanted; at least one."""
    found: list[int] = []
    for ids in document.sentences[int(start * len(document.sentences)) :]:
        found += ids
        if len(found) >= wanted:
            break
    return found


def _fitted(a: list[int], b: list[int], room: int, number: int) -> tuple[list[int], list[int]]:
    """Both without the tokens that are too many: the longer one loses the next, from its front or its back."""
    excess = len(a) + len(b) - room
    if excess <= 0:
        return a, b
    bounds = [[0, len(a)], [0, len(b)]]
    for draw in shares(np.arange(excess, dtype=np.uint64), _CUT, number).tolist():
        longer = max(bounds, key=lambda one: one[1] - one[0])  # of equal ones the first
        if draw < 0.5:
            longer[0] += 1
        else:
            longer[1] -= 1
    return a[slice(*bounds[0])], b[slice(*bounds[1])]
