"""Case patterns: a replacement is written as the word it replaces was."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

AS_IS, LOWER, UPPER, TITLE, FIRST_LOWER, FIRST_TITLE = range(6)
PATTERNS = 6
_QUOTES = "\"'\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"
_BEFORE_A_SENTENCE = _QUOTES + " \t\u00a0\u00a1\u00bf()[]{}<>-\u2013\u2014*#\u2022"
_ENDS_OF_SENTENCES = ".!?\u2026\n\r\u2028\u2029\u3002\uff01\uff1f\u061f\u06d4\u0964"
CASED = 0.01  # share of words with a capital from which on a vocabulary is cased; an uncased one may have a few


def is_cased(words: Iterable[str]) -> bool:
    """Whether more than one in a hundred words of a vocabulary has a capital.

    Args:
        words: of the vocabulary.
    """
    listed = list(words)
    return sum(word != word.lower() for word in listed) > CASED * len(listed)


def case_pattern(word: str) -> int:
    """Names the case pattern of a word.

    Args:
        word: the word as it stands in the text.

    Returns:
        LOWER, UPPER (two letters or more), TITLE (a single capital letter such as "I" counts as one), or AS_IS
        for everything else ("iPhone", digits, scripts without case).
    """
    if word.islower():
        return LOWER
    cased = [letter for letter in word if letter.isupper() or letter.islower() or letter.istitle()]
    if word.isupper() and len(cased) > 1:
        return UPPER
    if cased and cased[0] == word[0] and not word[0].islower() and all(letter.islower() for letter in cased[1:]):
        return TITLE
    return AS_IS


def own_case_pattern(word: str, text: str, start: int) -> int:
    """The pattern for candidates of a cased vocabulary, which keep their own case but in two places.

    Args:
        word: the word as it stands in the text.
        text: the text.
        start: the word's first code point.

    Returns:
        UPPER for such a word, FIRST_TITLE for a Title word at the start of a sentence, FIRST_LOWER for a lower one at
        the start of the text, else AS_IS.
    """
    pattern = case_pattern(word)
    if pattern == TITLE and starts_sentence(text, start):
        return FIRST_TITLE
    if pattern == LOWER and not any(map(str.isalnum, text[:start])):
        return FIRST_LOWER
    return UPPER if pattern == UPPER else AS_IS


def starts_sentence(text: str, start: int) -> bool:
    """Whether a word is the first one of a text, of a line, or after a mark that ends a sentence.

    Args:
        text: the text.
        start: the word's first code point.
    """
    before = text[:start].rstrip(_BEFORE_A_SENTENCE)
    return not before or before[-1] in _ENDS_OF_SENTENCES


def apply_case(replacement: str, pattern: int) -> str:
    """Writes a replacement in a case pattern.

    Args:
        replacement: the word as the vocabulary has it.
        pattern: what `case_pattern` or `own_case_pattern` said of the word it replaces.

    Returns:
        The word as it is to stand in the variant.
    """
    if pattern in (FIRST_LOWER, FIRST_TITLE):  # names and abbreviations (USA, iPhone) keep their case here, too
        if case_pattern(replacement) not in (LOWER, TITLE):
            return replacement
        pattern = LOWER if pattern == FIRST_LOWER else TITLE
    if pattern == LOWER:
        return replacement.lower()
    if pattern == UPPER:
        return replacement.upper()
    if pattern == TITLE:
        return replacement.capitalize()
    return replacement
