"""Words and pieces of byte-level BPE and SentencePiece in plain Python, sharing no code with `augment`.

GPT-2's pattern and merges one by one; Unigram's best path over pieces. Pieces that belong to no word (white space) are
words of no characters, so that all pieces of a text are there.
"""

from __future__ import annotations

import itertools
import json
import math
import unicodedata
from dataclasses import dataclass, field
from typing import Any

import regex

from tests.oracles.algorithm1 import BertModel
from tests.oracles.plain_words import Word, has_alphanumeric, is_punctuation

GPT2 = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
UNKNOWN_PENALTY = 10.0


def byte_characters() -> list[str]:
    """The character of each byte, by GPT-2's rule."""
    kept = {*range(33, 127), *range(161, 173), *range(174, 256)}
    shifted = iter(range(256, 512))
    return [chr(byte) if byte in kept else chr(next(shifted)) for byte in range(256)]


def merged(symbols: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    """BPE: the earliest merge first, its leftmost place first."""
    while True:
        pairs = [(ranks[pair], place) for place, pair in enumerate(itertools.pairwise(symbols)) if pair in ranks]
        if not pairs:
            return symbols
        _, place = min(pairs)
        symbols = [*symbols[:place], symbols[place] + symbols[place + 1], *symbols[place + 2 :]]


def best_path(text: str, scores: dict[str, float]) -> list[str]:
    """Unigram: the path of the highest sum; unknown characters side by side are one piece."""
    lowest = min(scores.values()) - UNKNOWN_PENALTY
    best: list[tuple[float, list[str]]] = [(0.0, [])] + [(-math.inf, [])] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(end):
            piece = text[start:end]
            score = scores.get(piece, lowest if end - start == 1 else None)
            if score is not None and best[start][0] + score > best[end][0]:
                best[end] = best[start][0] + score, [*best[start][1], piece]
    joined: list[str] = []
    for piece in best[-1][1]:
        if joined and piece not in scores and joined[-1] not in scores:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


@dataclass
class SubwordModel(BertModel):
    """A masked LM with one of the two tokenizers.

    Args:
        tokenizer_json: of the fast tokenizer; its vocabulary and merges are read, nothing of it runs.
    """

    tokenizer_json: str = ""
    spelled: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mask, self.first, self.last, self.between = "<mask>", "<s>", "</s>", 2
        content: dict[str, Any] = json.loads(self.tokenizer_json)["model"]
        self.bytes = content["type"] == "BPE"
        self.alphabet = byte_characters()
        if self.bytes:
            self.ranks = {tuple(pair): rank for rank, pair in enumerate(content["merges"])}
            self.tokens = sorted(content["vocab"], key=content["vocab"].__getitem__)
        else:
            self.scores = {piece: score for piece, score in content["vocab"] if piece not in SPECIAL}
            self.tokens = [piece for piece, _ in content["vocab"]]
        self.space = "Ġ" if self.bytes else "▁"
        self.numbers = {token: number for number, token in enumerate(self.tokens)}
        self.spelled = [self.spelling(token) for token in self.tokens]
        self.allowed = [
            number
            for number, token in enumerate(self.tokens)
            if token.startswith(self.space) and token != self.space and token not in SPECIAL
            if self.may_stand(self.spelled[number])
        ]

    def allowed_for(self, original: Word) -> list[int]:
        """Behind a space words that are written with one; where there is none, of the same words those without."""
        if original.pieces[0].startswith(self.space):
            return self.allowed
        words = {self.spelled[number] for number in self.allowed}
        return [
            number
            for number, token in enumerate(self.tokens)
            if not token.startswith(self.space) and token not in SPECIAL and self.spelled[number] in words
        ]

    def may_stand(self, word: str) -> bool:
        """Printable, and a mark alone or none at all."""
        marks = [character for character in word if is_punctuation(character)]
        whole = not marks or (self.punctuation and len(word) == 1)
        return whole and "\ufffd" not in word and word.isprintable() and (self.punctuation or has_alphanumeric(word))

    def spelling(self, token: str) -> str:
        if not self.bytes:
            return token.removeprefix("▁")
        if token in SPECIAL:
            return token
        return bytes(map(self.alphabet.index, token)).decode(errors="replace").removeprefix(" ")

    def split(self, text: str) -> list[Word]:
        words: list[Word] = []
        for start, written, spans in self.pre_tokens(text):
            if self.bytes:
                words = with_word(words, word_of(text, start, start + spans, self.pieces_of(written)))
                continue
            place, group, after_mark = start, list[tuple[int, int, str]](), False
            groups = [group]
            for piece in best_path(written, self.scores):
                size = len(piece.removeprefix("▁"))
                mark = size > 0 and not has_alphanumeric(piece)
                if group and (mark or after_mark):
                    group = []
                    groups.append(group)
                group.append((place, place + size, piece))
                place, after_mark = place + size, mark
            for some in groups:
                # a space alone before a mark belongs to no word
                words.append(word_of(text, some[0][0], some[-1][1], self.known([piece for _, _, piece in some])))
        return words

    def pre_tokens(self, text: str) -> list[tuple[int, str, int]]:
        """Start, what the model's pieces are made of, and code points."""
        if self.bytes:
            return [(found.start(), found[0], len(found[0])) for found in GPT2.finditer(text)]
        assert unicodedata.normalize("NFKC", text) == text
        return [(found.start(), "▁" + found[0], len(found[0])) for found in regex.finditer(r"\S+", text)]

    def pieces_of(self, written: str) -> list[str]:
        if self.bytes:
            return merged([self.alphabet[byte] for byte in written.encode()], self.ranks)
        return self.known(best_path(written, self.scores))

    def known(self, pieces: list[str]) -> list[str]:
        return [piece if piece in self.scores else "<unk>" for piece in pieces]

    def replaced(self, word: Word, replacement: str) -> Word:
        spaced = word.pieces[0].startswith(self.space)
        written = ((" " if self.bytes else "▁") if spaced else "") + replacement
        return Word(word.start, word.end, replacement, tuple(self.pieces_of(written)))


def word_of(text: str, start: int, end: int, pieces: list[str]) -> Word:
    while start < end and text[start].isspace():
        start += 1
    return Word(start, end, text[start:end], tuple(pieces))


def with_word(words: list[Word], word: Word) -> list[Word]:
    """An accent belongs to the word before it."""
    if words and word.spelling and words[-1].end == word.start and unicodedata.category(word.spelling[0]) == "Mn":
        last = words[-1]
        whole = Word(last.start, word.end, last.spelling + word.spelling, last.pieces + word.pieces)
        return [*words[:-1], whole]
    return [*words, word]
