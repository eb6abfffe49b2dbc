"""The rows of general distillation: ours, a plain loop's, and how full those of the authors' code are."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.packing import tokenised
from distill.shards import Batch, Position

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pipelines.corpus.files import FileCorpus

    Documents = list[list[list[int]]]  # documents of sentences of token ids

SHORT_TARGET = 0.1  # share of the documents that the authors' code cuts into shorter rows
OTHER_TEXT = 0.5  # share of the rows whose second half it takes from another document


def documents(corpus: FileCorpus, tokenizer_json: str, tokens: int) -> Documents:
    """The beginning of a corpus: the sentences of its first `tokens` tokens.

    Args:
        corpus: the same that was packed.
        tokenizer_json: of the fast tokenizer.
        tokens: special ones not counted.
    """
    found: Documents = [[]]
    for ids in tokenised((piece.text for piece in corpus.pieces()), tokenizer_json):
        if ids is None:
            found.append([])
        elif ids:
            found[-1].append(ids)
            tokens -= len(ids)
        if tokens <= 0:
            break
    return [document for document in found if document]


def sentence_lengths(texts: Documents, longest: int) -> NDArray[np.int64]:
    """Tokens of each sentence as a row of its own, cut to `longest`, special ones included."""
    return np.array([min(len(ids) + 2, longest) for document in texts for ids in document])


def sentence_batch(texts: Documents, tokenizer: Any, rows: int, longest: int, seed: int) -> Batch:
    """Sentences drawn at random, one a row, all padded to `longest`."""
    sentences = [ids[: longest - 2] for document in texts for ids in document]
    chosen = np.random.default_rng(seed).choice(len(sentences), rows, replace=rows > len(sentences))
    ids = np.full((rows, longest), tokenizer.pad_token_id, np.int64)
    mask = np.zeros_like(ids)
    for row, number in enumerate(chosen):
        own = [tokenizer.cls_token_id, *sentences[number], tokenizer.sep_token_id]
        ids[row, : len(own)], mask[row, : len(own)] = own, 1
    return Batch(ids, np.zeros_like(ids), mask, np.zeros(rows, np.int32), np.arange(rows), None, Position())


def filled_lengths(texts: Documents, longest: int, seed: int) -> NDArray[np.int64]:
    """Tokens of the rows that the authors' pregenerate_training_data.py would make of the same text.

    It fills a row with sentences of one document until the target is reached, in half of the rows takes what follows
    the first part from another document, and cuts what is too much; only the end of a document leaves rows short.
    """
    chance = random.Random(seed)
    return np.array([tokens for document in texts for tokens in _filled(document, texts, longest - 3, chance)])


def _filled(document: list[list[int]], texts: Documents, room: int, chance: random.Random) -> Iterator[int]:
    target = chance.randint(2, room) if chance.random() < SHORT_TARGET else room
    chunk: list[int] = []
    at = 0
    while at < len(document):
        chunk.append(len(document[at]))
        if at == len(document) - 1 or sum(chunk) >= target:
            first = chance.randrange(1, len(chunk)) if len(chunk) > 1 else 1
            tokens = sum(chunk)
            if len(chunk) == 1 or chance.random() < OTHER_TEXT:
                tokens = sum(chunk[:first]) + _other_text(chance.choice(texts), target - sum(chunk[:first]), chance)
                at -= len(chunk) - first  # what the other text took the place of comes again
            yield min(tokens, room) + 3
            chunk = []
        at += 1


def _other_text(document: list[list[int]], wanted: int, chance: random.Random) -> int:
    """Tokens of sentences from a random one on, at least one, until there are as many as wanted or none is left."""
    tokens = 0
    for ids in document[chance.randrange(len(document)) :]:
        tokens += len(ids)
        if tokens >= wanted:
            break
    return tokens
