"""Words of a text with their character offsets, by the masked LM's own fast tokenizer (design section 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import category

import numpy as np

from augment.ragged import gathered, offsets_of
from augment.stop_words import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenizers import Tokenizer

    from augment.presets import CandidateSettings


class TokenRows(NamedTuple):
    """Token ids of T texts without special tokens, laid end to end.

    Attributes:
        ids: int64 (N,).
        offsets: int64 (T + 1,) first id of each text.
    """

    ids: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> TokenRows:
        """Lays rows end to end."""
        return cls(np.array(list(chain.from_iterable(rows)), dtype=np.int64), offsets_of(list(map(len, rows))))

    def row(self, text: int) -> list[int]:
        """The ids of one text."""
        return self.ids[self.offsets[text] : self.offsets[text + 1]].tolist()

    def take(self, texts: np.ndarray) -> TokenRows:
        """The rows of some texts."""
        index, offsets = gathered(self.offsets, texts)
        return TokenRows(self.ids[index], offsets)


@dataclass(frozen=True)
class Words:
    """The pre-tokens of T texts, in order, as flat arrays over W words; their spans do not overlap.

    Args:
        texts: the texts as given.
        rows: their WordPiece ids.
        offsets: int64 (T + 1,) first word of each text.
        starts: int32 (W,) first code point in the text.
        ends: int32 (W,) code point after the last one.
        tokens: int64 (W,) position of the first WordPiece in the text's ids.
        pieces: int64 (W,) number of pieces.
        single_piece: bool (W,) exactly one piece and not the unknown token.
    """

    texts: list[str]
    rows: TokenRows
    offsets: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    tokens: np.ndarray
    pieces: np.ndarray
    single_piece: np.ndarray

    def texts_of(self, words: np.ndarray) -> np.ndarray:
        """The number of the text that each of some words is in."""
        return np.searchsorted(self.offsets, words, side="right") - 1

    def spellings(self, words: np.ndarray) -> list[str]:
        """The characters of some words."""
        spans = zip(self.texts_of(words).tolist(), self.starts[words].tolist(), self.ends[words].tolist(), strict=True)
        return [self.texts[text][start:end] for text, start, end in spans]


class WordSplitter:
    """Splits texts into words as a fast WordPiece tokenizer does.

    Args:
        backend: the tokenizer's Rust half. It is set to read `[MASK]` or `[SEP]` in a text as ordinary text.
        unknown_id: id of the unknown token.

    Attributes:
        space: how pieces write the space before a word; empty where they do not.
    """

    space = ""

    def __init__(self, backend: Tokenizer, unknown_id: int) -> None:
        backend.encode_special_tokens = True
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self._unknown_id = unknown_id

    def split(self, texts: Sequence[str]) -> Words:
        """Splits texts.

        Args:
            texts: any Unicode texts, empty ones too.
        """
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        rows = TokenRows.of([encoding.ids for encoding in encodings])
        starts: list[int] = []
        ends: list[int] = []
        tokens: list[int] = []
        pieces: list[int] = []
        offsets = [0]
        for text, encoding in zip(texts, encodings, strict=True):
            current: int | None = -1
            last_end = 0
            for token, (word, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
                if word == current:
                    ends[-1] = last_end = max(last_end, end)
                    pieces[-1] += 1
                elif start < end and start >= last_end:
                    starts.append(start)
                    ends.append(end)
                    tokens.append(token)
                    pieces.append(1)
                    current, last_end = word, end
            if not text.isascii():
                ends[offsets[-1] :] = [with_accents(text, end) for end in ends[offsets[-1] :]]
            offsets.append(len(starts))
        first, number = np.array(tokens, dtype=np.int64), np.array(pieces, dtype=np.int64)
        known = rows.ids[first + np.repeat(rows.offsets[:-1], np.diff(offsets))] != self._unknown_id
        start, end = np.array([starts, ends], dtype=np.int32)
        return Words(list(texts), rows, np.array(offsets), start, end, first, number, (number == 1) & known)

    def is_one_word(self, text: str) -> bool:
        """Whether the tokenizer takes a text as exactly one pre-token, none of its characters left out."""
        normalised = self._backend.normalizer.normalize_str(text) if self._backend.normalizer else text
        pieces = self._backend.pre_tokenizer.pre_tokenize_str(normalised)
        # Chinese characters are normalised to ones with spaces around them.
        return len(pieces) == 1 and pieces[0][0] == normalised.strip() and text.strip() == text

    def are_one_word(self, texts: Sequence[str]) -> list[bool]:
        """`is_one_word` of many texts."""
        return list(map(self.is_one_word, texts))

    def begins_word(self, piece: str) -> bool:
        """Whether a piece of the vocabulary stands at the beginning of a word."""
        return not piece.startswith("##")

    def spelling(self, piece: str) -> str:
        """How a piece of the vocabulary is spelt in a text."""
        return piece

    def ids_of(self, word: str, instead: int) -> list[int]:  # noqa: ARG002 - WordPiece knows no spaces
        """The ids of a word inside a text.

        Args:
            word: one word.
            instead: id of the first piece of the word whose place it takes.
        """
        return self.split([word]).rows.row(0)


def with_accents(text: str, end: int) -> int:
    """The end of a word with the combining marks after it, which an uncased tokenizer strips with their offset."""
    while end < len(text) and category(text[end]) == "Mn":
        end += 1
    return end


def eligibility(settings: CandidateSettings) -> Callable[[str], bool]:
    """The rule by which a word may be replaced, protected words aside.

    Args:
        settings: punctuation and skip_stopwords are read.

    Returns:
        A function of the word's spelling.
    """
    alphabetic = re.compile("[a-z]+")

    @lru_cache(1 << 16)  # words come again and again
    def eligible(word: str) -> bool:
        if not (settings.punctuation or has_letter_or_digit(word)):
            return False
        if settings.skip_stopwords:
            lower = word.lower()
            return lower not in STOP_WORDS and alphabetic.fullmatch(lower) is not None
        return True

    return eligible


def has_letter_or_digit(word: str) -> bool:
    """Whether a word is more than punctuation."""
    return word.isalnum() or any(character.isalnum() for character in word)
