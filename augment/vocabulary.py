"""Which entries of a vocabulary may be proposed as replacements (design section 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from augment.casing import is_cased
from augment.characters import is_cjk
from augment.words import WordSplitter, has_letter_or_digit
from glove import fold_case

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_UNUSED = re.compile(r"\[unused\d+\]")


@dataclass(frozen=True)
class Vocabulary:
    """The vocabulary of a masked LM.

    Args:
        tokens: spelling of every id, without the space that stands before a word.
        proposable: bool (V,): whole, printable words that may stand for a word.
        unspaced: bool (V,): the same where no space stands before a word, at the beginning of a text or behind a
            bracket: pieces that begin without one, of words that are proposable behind one, which tells `film` from
            the rest of a word such as `ing`. None where pieces know no spaces.
        spaced: bool (V,): pieces that begin with the space before a word; None where pieces know none.
    """

    tokens: list[str]
    proposable: np.ndarray
    unspaced: np.ndarray | None = None
    spaced: np.ndarray | None = None

    @cached_property
    def known(self) -> np.ndarray:
        """Bool (V,): proposable at one place or the other."""
        return self.proposable if self.unspaced is None else self.proposable | self.unspaced

    def lack_space(self, ids: np.ndarray) -> np.ndarray:
        """Whether no space stands before words of one piece, by their ids (M,)."""
        return np.zeros(len(ids), dtype=bool) if self.spaced is None else ~self.spaced[ids]

    def same_word(self, token: int, spelling: str) -> tuple[int, ...]:
        """Proposable ids that would stand as the word itself, once they have taken its case.

        Args:
            token: id of the word's one piece.
            spelling: the word as its text spells it.
        """
        read, written = fold_case(self.tokens[token]), fold_case(spelling)
        ids = self._by_fold.get(read, ())
        return ids if read == written else (*ids, *self._by_fold.get(written, ()))

    @cached_property
    def cased(self) -> bool:
        """Whether it tells `paris` from `Paris`."""
        return is_cased(self.tokens[index] for index in np.flatnonzero(self.proposable))

    @cached_property
    def cjk(self) -> np.ndarray:
        """Bool (V,): the known words that are a CJK character."""
        return np.array([may and is_cjk(token) for token, may in zip(self.tokens, self.known, strict=True)])

    @cached_property
    def lower_case(self) -> np.ndarray:
        """int64 (V,): a number that ids share if their spellings differ in case only."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(token.lower(), len(numbers)) for token in self.tokens], dtype=np.int64)

    @cached_property
    def most_forms(self) -> int:
        """The most proposable ids that differ in case only; 1 where every word has one spelling."""
        return int(np.bincount(self.lower_case[self.proposable]).max(initial=1))

    @cached_property
    def _by_fold(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for index in np.flatnonzero(self.known).tolist():
            key = fold_case(self.tokens[index])
            found[key] = (*found.get(key, ()), index)
        return found


def read_vocabulary(
    tokenizer: PreTrainedTokenizerFast, splitter: WordSplitter, size: int, punctuation: bool
) -> Vocabulary:
    """Reads a tokenizer's vocabulary and marks what may be proposed.

    Args:
        tokenizer: a fast tokenizer.
        splitter: says what is one word.
        size: rows of the masked LM's output (V); ids the tokenizer lacks are never proposed.
        punctuation: whether punctuation may be proposed.

    Returns:
        The vocabulary. No pieces that go on with a word, broken bytes, special or added tokens, `[unused]` entries,
        control characters, or entries the tokenizer would split.
    """
    pieces = [""] * size
    for token, index in tokenizer.get_vocab().items():
        if index < size:
            pieces[index] = token
    barred = set(tokenizer.all_special_tokens) | set(tokenizer.get_added_vocab())
    tokens = [piece if piece in barred else splitter.spelling(piece) for piece in pieces]
    proposable = np.array(
        [
            bool(piece)
            and piece not in barred
            and splitter.begins_word(piece)
            and not _UNUSED.fullmatch(piece)
            and _may_stand(token, punctuation)
            for piece, token in zip(pieces, tokens, strict=True)
        ],
        dtype=bool,
    )
    listed = np.flatnonzero(proposable)
    proposable[listed] = splitter.are_one_word([tokens[index] for index in listed])
    return Vocabulary(tokens, proposable, *_without_space(pieces, tokens, proposable, splitter.space))


def _without_space(
    pieces: list[str], tokens: list[str], proposable: np.ndarray, space: str
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """`unspaced` and `spaced` of a vocabulary; None where its pieces know no space."""
    if not space:
        return None, None
    spaced = np.array([piece.startswith(space) for piece in pieces])
    words = {tokens[index] for index in np.flatnonzero(proposable)}
    return ~spaced & np.array(
        [bool(piece) and token in words for piece, token in zip(pieces, tokens, strict=True)]
    ), spaced


def is_proposable(word: str, splitter: WordSplitter, punctuation: bool) -> bool:
    """Whether a spelling may replace a word: printable, one word, and not punctuation unless that is allowed."""
    return _may_stand(word, punctuation) and splitter.is_one_word(word)


def _may_stand(word: str, punctuation: bool) -> bool:
    return word.isprintable() and (punctuation or has_letter_or_digit(word))
