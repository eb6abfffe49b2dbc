"""Case patterns: a replacement is written as the word it replaces was."""

from __future__ import annotations

AS_IS, LOWER, UPPER, TITLE = range(4)


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


def apply_case(replacement: str, pattern: int) -> str:
    """Writes a replacement in a case pattern.

    Args:
        replacement: the word as the vocabulary has it.
        pattern: what `case_pattern` said of the word it replaces.

    Returns:
        The word as it is to stand in the variant.
    """
    if pattern == LOWER:
        return replacement.lower()
    if pattern == UPPER:
        return replacement.upper()
    if pattern == TITLE:
        return replacement.capitalize()
    return replacement
