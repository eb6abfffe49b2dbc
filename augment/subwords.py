"""Words of masked LMs with byte-level BPE (RoBERTa, ModernBERT) or SentencePiece (XLM-R, CamemBERT).

A word is a pre-token without the space before it. SentencePiece ends pre-tokens at white space alone, so a piece of
punctuation alone is a word there, too, as it is with the other tokenizers.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from unicodedata import category

import numpy as np

from augment.characters import punctuation
from augment.files.kinds import BYTE_LEVEL, SENTENCE_PIECE
from augment.words import TokenRows, Words, WordSplitter, has_letter_or_digit, with_accents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Encoding, Tokenizer

SPACE_OF = {BYTE_LEVEL: "Ġ", SENTENCE_PIECE: "▁"}  # how pieces write the space before a word
_PUNCTUATION = re.compile(f"[{punctuation()}]")  # ends a word of BERT's, and is no part of a replacement here
NO_WORD = "\ufffd"  # stands for a piece that spells none: broken bytes


class SubwordSplitter(WordSplitter):
    """Splits texts into words as the tokenizers of RoBERTa, ModernBERT, XLM-R and CamemBERT do.

    Args:
        backend: the tokenizer's Rust half; as for `WordSplitter`.
        unknown_id: id of the unknown token; -1 for none.
        kind: BYTE_LEVEL or SENTENCE_PIECE.
    """

    def __init__(self, backend: Tokenizer, unknown_id: int, kind: str) -> None:
        super().__init__(_without_marks(backend) if kind == SENTENCE_PIECE else backend, unknown_id)
        self._kind, self.space = kind, SPACE_OF[kind]
        self._numbers = {number: byte for byte, number in _alphabet().items()}
        pieces = [self._backend.id_to_token(number) or "" for number in range(backend.get_vocab_size())]
        self.spaced = [piece.startswith(self.space) for piece in pieces]
        self._bare = [piece == self.space for piece in pieces]

    def split(self, texts: Sequence[str]) -> Words:
        """As `WordSplitter.split`."""
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        rows = TokenRows.of([encoding.ids for encoding in encodings])
        offsets, found = [0], list[list[int]]()
        for text, encoding in zip(texts, encodings, strict=True):
            found += self._words(text, encoding)
            offsets.append(len(found))
        start, end, first, number = np.array(found, dtype=np.int64).reshape(-1, 4).T
        known = rows.ids[first + np.repeat(rows.offsets[:-1], np.diff(offsets))] != self._unknown_id
        spans = start.astype(np.int32), end.astype(np.int32)
        return Words(list(texts), rows, np.array(offsets), *spans, first, number, (number == 1) & known)

    def _words(self, text: str, encoding: Encoding) -> list[list[int]]:
        """Start, end, first token and number of tokens of each word."""
        words: list[list[int]] = []
        pieces = self._kind == SENTENCE_PIECE
        current, first, is_open, after_mark = None, 0, False, False
        for token, (number, pre_token, span) in enumerate(
            zip(encoding.ids, encoding.word_ids, encoding.offsets, strict=True)
        ):
            start, end = _stripped(text, *span)
            bare = self._bare[number]  # a space alone, whose span may be that of the next piece
            mark = pieces and start < end and not bare and not has_letter_or_digit(text[start:end])
            if pre_token != current or (pieces and self.spaced[number]) or mark or after_mark:
                first, is_open = token, False
            current, after_mark = pre_token, mark
            last = words[-1][1] if words else 0
            if not is_open and (start >= end or bare):
                continue
            if not is_open and words and start == last and category(text[start]) == "Mn":
                first, is_open, after_mark = words[-1][2], True, False  # an accent is a part of its letter's word
            if is_open:
                words[-1][1:] = [max(last, end), first, token - first + 1]
            elif start >= last:
                words.append([start, end, first, token - first + 1])
                is_open = True
        if not text.isascii():  # a normalizer may have put accent and letter together
            for word in words:
                word[1] = with_accents(text, word[1])
        return words

    def is_one_word(self, text: str) -> bool:
        """As `WordSplitter.is_one_word`."""
        return self.are_one_word([text])[0]

    def are_one_word(self, texts: Sequence[str]) -> list[bool]:
        """As `WordSplitter.are_one_word`."""
        words = self.split(texts)
        ones = []
        for number, text in enumerate(texts):
            first, last = words.offsets[number : number + 2]
            whole = last - first == 1 and words.starts[first] == 0 and words.ends[first] == len(text)
            ones.append(bool(whole and (len(text) == 1 or _PUNCTUATION.search(text) is None)))
        return ones

    def begins_word(self, piece: str) -> bool:
        """As `WordSplitter.begins_word`: pieces with the space before a word."""
        return piece.startswith(self.space) and piece != self.space

    def spelling(self, piece: str) -> str:
        """As `WordSplitter.spelling`, without the space; bytes that are no text give a word that is not printable."""
        if self._kind == SENTENCE_PIECE:
            return piece.removeprefix(self.space)
        try:
            spelled = bytes(self._numbers[character] for character in piece).decode()
        except (KeyError, UnicodeDecodeError):
            return NO_WORD
        return spelled.removeprefix(" ")

    def ids_of(self, word: str, instead: int) -> list[int]:
        """As `WordSplitter.ids_of`: after a space, or not, as the piece that it takes the place of."""
        normalizer = self._backend.normalizer
        written = normalizer.normalize_str(word) if normalizer else word
        if self._kind == BYTE_LEVEL:
            alphabet = _alphabet()
            written = "".join(alphabet[byte] for byte in written.encode())
        space = self.space if self.spaced[instead] else ""
        return [token.id for token in self._backend.model.tokenize(space + written)]


def _without_marks(backend: Tokenizer) -> Tokenizer:
    """The same tokenizer, but that `</s>` in a text is no special token: Unigram finds it among its own pieces."""
    from tokenizers import Tokenizer

    content = json.loads(backend.to_str())
    special = {token["content"] for token in content["added_tokens"] if token["special"]}
    content["added_tokens"] = [token for token in content["added_tokens"] if not token["special"]]
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = [
        [f"{NO_WORD}{number}" if piece in special else piece, score] for number, (piece, score) in enumerate(vocabulary)
    ]
    return Tokenizer.from_str(json.dumps(content))


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _alphabet() -> dict[int, str]:
    """The character that byte-level BPE (GPT-2's) writes for each byte: printable Latin-1 as it is, others shifted."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}
