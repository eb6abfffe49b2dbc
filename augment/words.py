"""Words of a text with their character offsets, by the masked LM's own fast tokenizer (design section 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import category

from augment.stop_words import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenizers import Encoding, Tokenizer

    from augment.presets import CandidateSettings


class Word(NamedTuple):
    """One pre-token of a text.

    Attributes:
        start: first code point in the text.
        end: code point after the last one.
        token: position of its first WordPiece in the text's ids (without special tokens).
        pieces: number of its WordPieces.
        single_piece: exactly one WordPiece and not the unknown token.
    """

    start: int
    end: int
    token: int
    pieces: int
    single_piece: bool


@dataclass(frozen=True)
class WordedText:
    """A text, its token ids and its words.

    Args:
        text: the text as given.
        ids: WordPiece ids without special tokens.
        words: every pre-token in order; spans do not overlap.
    """

    text: str
    ids: list[int]
    words: list[Word]

    def spelling(self, word: Word) -> str:
        """The characters of one of its words."""
        return self.text[word.start : word.end]


class WordSplitter:
    """Splits texts into words as a fast WordPiece tokenizer does.

    Args:
        backend: the tokenizer's Rust half. It is set to read `[MASK]` or `[SEP]` in a text as ordinary text.
        unknown_id: id of the unknown token.
    """

    def __init__(self, backend: Tokenizer, unknown_id: int) -> None:
        backend.encode_special_tokens = True
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self._unknown_id = unknown_id

    def split(self, texts: Sequence[str]) -> list[WordedText]:
        """Splits texts.

        Args:
            texts: any Unicode texts, empty ones too.

        Returns:
            One WordedText for each text, in order.
        """
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [
            WordedText(text, encoding.ids, _with_accents(text, self._words(encoding)))
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def is_one_word(self, text: str) -> bool:
        """Whether the tokenizer takes a text as exactly one pre-token, none of its characters left out."""
        normalised = self._backend.normalizer.normalize_str(text) if self._backend.normalizer else text
        pieces = self._backend.pre_tokenizer.pre_tokenize_str(normalised)
        # Chinese characters are normalised to ones with spaces around them.
        return len(pieces) == 1 and pieces[0][0] == normalised.strip() and text.strip() == text

    def _words(self, encoding: Encoding) -> list[Word]:
        words: list[Word] = []
        ids = encoding.ids
        current: int | None = -1
        last_end = 0
        for token, (word, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
            if word == current and words:
                previous = words[-1]
                words[-1] = Word(previous.start, max(previous.end, end), previous.token, previous.pieces + 1, False)
                last_end = words[-1].end
            elif start < end and start >= last_end:
                words.append(Word(start, end, token, 1, ids[token] != self._unknown_id))
                current, last_end = word, end
        return words


def _with_accents(text: str, words: list[Word]) -> list[Word]:
    """Words with the combining marks that follow them, which an uncased tokenizer strips together with the offset."""
    if text.isascii():
        return words
    found = []
    for word in words:
        end = word.end
        while end < len(text) and category(text[end]) == "Mn":
            end += 1
        found.append(word._replace(end=end) if end > word.end else word)
    return found


def eligibility(settings: CandidateSettings) -> Callable[[str], bool]:
    """The rule by which a word may be replaced, protected words aside.

    Args:
        settings: punctuation and skip_stopwords are read.

    Returns:
        A function of the word's spelling.
    """
    alphabetic = re.compile("[a-z]+")

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
