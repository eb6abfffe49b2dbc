"""Classes of characters as BERT's tokenizer has them, to be put between the brackets of a regular expression."""

from __future__ import annotations

import re
from functools import cache
from unicodedata import category

# Each of these is a word of its own to the tokenizer.
CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f"
PLANES = 0x20000  # above it there are ideographs and no punctuation or digit
_CJK_WORD = re.compile(f"[{CJK}]")
_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def is_cjk(word: str) -> bool:
    """Whether a word is a CJK character, with what marks it may carry."""
    return _CJK_WORD.match(word) is not None


@cache
def is_invisible(character: str) -> bool:
    """Whether BERT's tokenizer reads as if a character were not there: format, control, private use, unassigned.

    Variation selectors count as well: a cased tokenizer keeps them, but nobody sees them.
    """
    if character in "\t\n\r":
        return False
    return category(character)[0] == "C" or character == "\ufffd" or _SELECTOR.match(character) is not None


@cache
def punctuation() -> str:
    """Punctuation: what ASCII has beside letters, digits and blanks, and Unicode's category P."""
    return _class("P") + re.escape("$+<=>^`|~")


@cache
def digits() -> str:
    """Unicode's category N: digits, fractions, Roman numerals, circled numbers."""
    return _class("N")


def _class(kind: str) -> str:
    found, start = [], -1
    for code in range(PLANES + 1):
        if code < PLANES and category(chr(code))[0] == kind:
            start = code if start < 0 else start
        elif start >= 0:
            found.append(f"{re.escape(chr(start))}-{re.escape(chr(code - 1))}")
            start = -1
    return "".join(found)
