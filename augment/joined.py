"""What is written together without a space and is kept whole: don't, U.S., 12:30, addresses, markers, identifiers.

A run of characters without a space is freed of the marks of the sentence around it: quotes, round brackets, commas
and full stops at its ends. If a punctuation mark or a digit is left in it, its words belong together.
"""

from __future__ import annotations

import re
from functools import cache

from augment.characters import CJK, digits, punctuation

# Ends a run as a space does: dashes and dots that stand between words, and the marks of scripts without spaces.
_BREAKS = "\\s\u2014\u2015\u2026\u3000-\u3004\u3008-\u3020\u3030\u30fb\ufe10-\ufe1f\ufe30-\ufe6f\uff01-\uff0f"
_BREAKS += "\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
_QUOTES = "\"'\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a\u00ab\u00bb"
_BESIDE_WORDS = _QUOTES + "\u00a1\u00bf\u2013\u2020\u2022\u061b\u061f\u060c\u06d4\u0589\u0964\u0965\u1362"
_BEFORE = "(," + _BESIDE_WORDS
_AFTER = "),.;:!?" + _BESIDE_WORDS


def joined_spans(text: str) -> list[tuple[int, int]]:
    """Spans of what is written together.

    Args:
        text: any text.

    Returns:
        Start and end (excluded) in code points, in order, none overlapping another.
    """
    runs, marks = _patterns()
    spans = []
    for run in runs.finditer(text):
        core = run[0].lstrip(_BEFORE)
        if core.startswith(".."):  # dots that trail off; a single one begins .5 or .NET
            core = core.lstrip("." + _BEFORE)
        start = run.end() - len(core)
        core = core.rstrip(_AFTER)
        if marks.search(core):
            spans.append((start, start + len(core)))
    return spans


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What is written without a break, and the marks that keep words in it together."""
    return re.compile(f"[^{_BREAKS}{CJK}]+"), re.compile(f"[{punctuation()}{digits()}]")
