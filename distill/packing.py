"""Packs the sentences of a corpus into sequences of one length: whole sentences, never across a document's end."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH_CHARACTERS = 1 << 18  # tokenised at once


@dataclass(frozen=True)
class Packing:
    """How sentences become sequences.

    Attributes:
        length: tokens of a sequence at most, the two special ones included.
        first: id that opens it ([CLS]).
        last: id that closes it ([SEP]).
    """

    length: int
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.length < 3:
            raise DistillError(f"expected sequences of at least 3 tokens; found {self.length}. 128 is usual.")


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


def pack(sentences: Iterable[list[int] | None], packing: Packing) -> Iterator[list[int]]:
    """Sequences of whole sentences, as many as fit; one that is longer than a sequence is cut into several.

    Args:
        sentences: ids of each sentence; None ends a document.
        packing: length and special tokens.

    Yields:
        ids of a sequence, 3 to `packing.length` of them.
    """
    room, current = packing.length - 2, list[int]()
    for ids in sentences:
        if current and (ids is None or len(current) + len(ids) > room):
            yield [packing.first, *current, packing.last]
            current = []
        if ids is None:
            continue
        start = 0
        while len(ids) - start > room:
            yield [packing.first, *ids[start : start + room], packing.last]
            start += room
        current += ids[start:] if start else ids
    if current:
        yield [packing.first, *current, packing.last]


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
