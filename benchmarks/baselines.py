"""How others find candidates, written after their public code, to be measured beside ours.

`Sequential` works as the TinyBERT authors' data_augmentation.py does: one word at a time (no stop words), the text
tokenised anew in Python for each, masked text paired with the original, logits of every position and a full sort of
the vocabulary, eager attention, gradients tracked, a full sort of 100,000 GloVe vectors for a multi-piece word.
`Batched` works as haystack 1.x's script does: the words of one text in a batch, logits of every position.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from augment.stop_words import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from augment.words import Words
    from glove import WordVectors

_ALPHABETIC = re.compile("[a-z]+")
VECTORS = 100_000
PUBLISHED_M, HAYSTACK_K = 15, 20


@dataclass(frozen=True)
class PlainText:
    """A text by itself, as the published ways take it.

    Args:
        text: the text.
        ids: its WordPieces.
        words: spelling, position of the first WordPiece, and whether it is the only one.
    """

    text: str
    ids: list[int]
    words: list[tuple[str, int, bool]]


def plain_texts(words: Words) -> list[PlainText]:
    """Texts one by one."""
    columns = words.spellings(np.arange(len(words.starts))), words.tokens.tolist(), words.single_piece.tolist()
    each = list(zip(*columns, strict=True))
    return [
        PlainText(text, words.rows.row(number), each[words.offsets[number] : words.offsets[number + 1]])
        for number, text in enumerate(words.texts)
    ]


class Sequential:
    """One forward pass for each word, as published.

    Args:
        model: the masked LM.
        tokenizer: its tokenizer.
        vectors: GloVe vectors; the first 100,000 are sorted for each multi-piece word, as the published code does.
        gradients: whether gradients are tracked, as the published code lets them be.
    """

    def __init__(self, model: Any, tokenizer: Any, vectors: WordVectors | None, gradients: bool = True) -> None:
        self._model, self._tokenizer, self._gradients = model, tokenizer, gradients
        self._vectors = vectors
        self._matrix = None if vectors is None else np.array(vectors.unit_rows[:VECTORS])
        self._model.requires_grad_(gradients)
        self._vocabulary = tokenizer.get_vocab()

    def run(self, texts: Sequence[PlainText]) -> tuple[int, int]:
        """Finds candidates; returns the number of masked words and of tokens passed through the encoder."""
        words = tokens = 0
        with nullcontext() if self._gradients else torch.inference_mode():
            for text in texts:
                for spelling, token, single_piece in text.words:
                    if spelling.lower() in STOP_WORDS or not _ALPHABETIC.fullmatch(spelling.lower()):
                        continue
                    if single_piece:
                        tokens += self._masked(text.text, token)
                        words += 1
                    else:
                        self._similar(spelling)
        return words, tokens

    def _masked(self, text: str, position: int) -> int:
        masked = ["[CLS]", *word_pieces(text, self._vocabulary), "[SEP]"]
        masked[position + 1] = "[MASK]"
        ids = [self._vocabulary[piece] for piece in [*masked, *word_pieces(text, self._vocabulary), "[SEP]"]]
        segments = [0] * len(masked) + [1] * (len(ids) - len(masked))
        device = self._model.device
        self._model.to(device)  # for each word, as published
        logits = self._model(
            input_ids=torch.tensor([ids]).to(device), token_type_ids=torch.tensor([segments]).to(device)
        ).logits  # (1, L, V): every position
        best = torch.argsort(logits[0, position + 1], descending=True)[:PUBLISHED_M].tolist()
        self._tokenizer.convert_ids_to_tokens(best)
        return len(ids)

    def _similar(self, spelling: str) -> None:
        row = None if self._vectors is None else self._vectors.row(spelling.lower())
        if row is None or self._vectors is None or self._matrix is None:
            return
        cosines = self._matrix @ self._vectors.unit_rows[row]
        for neighbour in np.argsort(-cosines)[1 : PUBLISHED_M + 1]:
            self._vectors.word(int(neighbour))


def word_pieces(text: str, vocabulary: dict[str, int]) -> list[str]:
    """BERT's tokenisation as a loop in Python: lower case, punctuation apart, longest piece first."""
    spaced = "".join(f" {one} " if not (one.isalnum() or one.isspace()) else one for one in text.lower())
    pieces: list[str] = []
    for word in spaced.split():
        start, found = 0, []
        while start < len(word):
            end = len(word)
            while end > start and ("##" * (start > 0) + word[start:end]) not in vocabulary:
                end -= 1
            if end == start:
                found = ["[UNK]"]
                break
            found.append("##" * (start > 0) + word[start:end])
            start = end
        pieces += found
    return pieces


class Batched:
    """The words of one text in a batch, logits of every position, as haystack 1.x.

    Args:
        model: the masked LM.
        special: ids of [CLS], [SEP] and [MASK].
        batch: copies in a batch.
    """

    def __init__(self, model: Any, special: tuple[int, int, int], batch: int = 16) -> None:
        self._model, self._special, self._batch = model, special, batch

    def run(self, texts: Sequence[PlainText]) -> tuple[int, int]:
        """Finds candidates; returns the number of masked words and of tokens passed through the encoder."""
        cls, sep, mask = self._special
        words = tokens = 0
        with torch.inference_mode():
            for text in texts:
                positions = [
                    token + 1
                    for spelling, token, single_piece in text.words
                    if single_piece and any(character.isalnum() for character in spelling)
                ]
                ids = torch.tensor([[cls, *text.ids, sep]] * len(positions))
                for start in range(0, len(positions), self._batch):
                    rows = torch.tensor(positions[start : start + self._batch])
                    copies = ids[start : start + len(rows)].clone()
                    copies[torch.arange(len(rows)), rows] = mask
                    logits = self._model(input_ids=copies.to(self._model.device)).logits  # (B, L, V): every position
                    torch.topk(torch.softmax(logits[torch.arange(len(rows)), rows], dim=1), HAYSTACK_K)
                    words += len(rows)
                    tokens += copies.numel()
        return words, tokens


class BareEncoder:
    """The physical floor: the encoder's forward pass over the same unpadded copies, nothing else.

    Args:
        encoder: the model without its head.
        lines: token ids of every copy.
        batch_tokens: tokens of a pass.
    """

    def __init__(self, encoder: Any, lines: Sequence[Sequence[int]], batch_tokens: int) -> None:
        self._encoder = encoder
        by_length: dict[int, list[Sequence[int]]] = {}
        for line in lines:
            by_length.setdefault(len(line), []).append(line)
        self._batches = [
            torch.tensor(group[start : start + max(1, batch_tokens // length)], device=encoder.device)
            for length, group in sorted(by_length.items(), reverse=True)
            for start in range(0, len(group), max(1, batch_tokens // length))
        ]
        self.tokens = sum(len(line) for line in lines)

    def run(self) -> None:
        """One pass over all copies."""
        with torch.inference_mode():
            for batch in self._batches:
                self._encoder(input_ids=batch)
