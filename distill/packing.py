"""Packs the sentences of a corpus into sequences of one length: whole sentences, never across a document's end.

A share of the sequences are pairs in BERT's form, [CLS] A [SEP] B [SEP], with segment ids 0 up to the first [SEP] and 1
after it. A and B are the sentences of one sequence, cut after one of them, so B always continues A. BERT takes half of
its Bs from other documents because it learns next-sentence prediction; no loss here needs such a B.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from distill.errors import DistillError
from distill.order import shares

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BATCH_CHARACTERS = 1 << 18  # tokenised at once
DRAWN = 4_096  # sequences whose draws are made at once
_PAIR, _SPLIT = 21, 22  # purposes of the draws


@dataclass(frozen=True)
class Packing:
    """How sentences become sequences.

    Attributes:
        length: tokens of a sequence at most, special ones included.
        first: id that opens it ([CLS]).
        last: id that closes a segment ([SEP]).
        pairs: share of the sequences of two sentences or more that are pairs, from 0 to 1.
    """

    length: int
    first: int
    last: int
    pairs: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.pairs <= 1:
            raise DistillError(f"expected a share of pairs from 0 to 1; found {self.pairs}. 0.5 is usual.")
        if self.length < 3:
            raise DistillError(f"expected sequences of at least 3 tokens; found {self.length}. 128 is usual.")


class PackedSequence(NamedTuple):
    """A sequence as a model takes it.

    Attributes:
        ids: token ids, special ones included.
        types: segment id of each token: 0, and 1 in the second segment of a pair.
    """

    ids: list[int]
    types: list[int]


def tokenised(pieces: Iterable[str | None], tokenizer_json: str) -> Iterator[list[int] | None]:
    """Token ids of sentences, without special tokens; a None, which ends a document, is passed on.

    Args:
        pieces: sentences and Nones. A literal [SEP] in a sentence is ordinary text.
        tokenizer_json: of the fast tokenizer.
    """
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    for batch in _batches(pieces):
        found = iter(tokenizer.encode_batch_fast([p for p in batch if p is not None], add_special_tokens=False))
        for piece in batch:
            yield None if piece is None else next(found).ids


def pack(sentences: Iterable[list[int] | None], packing: Packing) -> Iterator[PackedSequence]:
    """Packs whole sentences into sequences, as many as fit; a sentence longer than a sequence is cut into several.

    Whether a sequence becomes a pair, and after which of its sentences it is cut, depends on its number in the output
    and on its sentences alone. A sequence of one sentence, or of a piece of one, is never a pair.

    Args:
        sentences: ids of each sentence; None ends a document.
        packing: length, special tokens and share of pairs.

    Yields:
        sequences of 3 to `packing.length` tokens.
    """
    room, splits = packing.length - 2, _splits(packing.pairs)
    split, current, size = next(splits), list[list[int]](), 0
    for ids in sentences:
        if ids is not None and not ids:
            continue
        if current and (ids is None or size + len(ids) + (split is not None) > room):  # a pair has one more [SEP]
            yield _sequence(current, split, packing)
            split, current, size = next(splits), [], 0
        if ids is None:
            continue
        start = 0
        while len(ids) - start > room:
            yield _sequence([ids[start : start + room]], split, packing)
            split, start = next(splits), start + room
        current.append(ids[start:] if start else ids)
        size += len(current[-1])
    if current:
        yield _sequence(current, split, packing)


def _splits(pairs: float) -> Iterator[float | None]:
    """For each sequence in turn: where among its sentences a pair is cut, in [0, 1); None for a single segment."""
    for first in itertools.count(0, DRAWN):
        numbers = np.arange(first, first + DRAWN, dtype=np.uint64)
        chosen = (shares(numbers, _PAIR) < pairs).tolist()
        yield from (at if pair else None for pair, at in zip(chosen, shares(numbers, _SPLIT).tolist(), strict=True))


def _sequence(sentences: Sequence[list[int]], split: float | None, packing: Packing) -> PackedSequence:
    """Joins sentences; with a split in [0, 1), each end of a sentence but the last is equally likely to end A."""
    cut = len(sentences) if split is None else 1 + int(split * (len(sentences) - 1))
    ids, types = [packing.first], [0]
    for kind, segment in enumerate((sentences[:cut], sentences[cut:])):
        if segment:
            tokens = [*itertools.chain.from_iterable(segment), packing.last]
            ids += tokens
            types += [kind] * len(tokens)
    return PackedSequence(ids, types)


def _batches(pieces: Iterable[str | None]) -> Iterator[list[str | None]]:
    """Runs of pieces of about BATCH_CHARACTERS."""
    batch: list[str | None] = []
    size = 0
    for piece in itertools.chain(pieces, [None]):
        batch.append(piece)
        size += len(piece or "") + 1
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    yield batch
