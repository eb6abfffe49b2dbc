"""Words that are never replaced (`--protect`): negations, names, aspect terms, identifiers."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import normalize

from augment.characters import CJK, is_invisible, punctuation
from augment.presets import is_regex

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Protected:
    """Finds protected words in texts; needs no tokenizer, so that stored candidates can be drawn from with it.

    Args:
        entries: words or phrases, compared without case, or `/regular expressions/`, searched in the whole text. A
            phrase is what BERT makes several words of: `don't` and `New York` as well. Invisible characters, the form
            of the apostrophe and that of accents (composed or not) make no difference to words and phrases.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self.entries = tuple(entries)
        self._patterns = [(n, re.compile(entry[1:-1])) for n, entry in enumerate(entries) if is_regex(entry)]
        self._phrases: dict[str, list[tuple[int, list[str]]]] = {}  # by first word
        for number, entry in enumerate(entries):
            if not is_regex(entry):
                words = [word for _, _, word in _words(entry)]
                self._phrases.setdefault(words[0], []).append((number, words))

    def places(self, text: str, starts: Sequence[int], ends: Sequence[int]) -> set[tuple[int, int]]:
        """Words of a text that entries keep.

        Args:
            text: the text.
            starts: first code points of its words, in order.
            ends: code points after their last ones.

        Returns:
            Number of the word and number of the entry, for each entry that overlaps the word.
        """
        found: set[tuple[int, int]] = set()
        for entry, start, end in self._spans(text):
            found.update((place, entry) for place in overlapped(starts, ends, start, end))
        return found

    def _spans(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Entry, start and end of every match."""
        for entry, pattern in self._patterns:
            for match in pattern.finditer(text):
                yield entry, match.start(), match.end()
        if not self._phrases:
            return
        words = _words(text)
        spellings = [word for _, _, word in words]
        for place, spelling in enumerate(spellings):
            for entry, phrase in self._phrases.get(spelling, ()):
                last = place + len(phrase)
                if spellings[place:last] == phrase:
                    yield entry, words[place][0], words[last - 1][1]


def overlapped(starts: Sequence[int], ends: Sequence[int], start: int, end: int) -> range:
    """Numbers of the words that share a character with a span.

    Args:
        starts: first code points of words, in order.
        ends: code points after their last ones.
        start: first code point of the span; an empty one shares nothing.
        end: code point after its last one.
    """
    return range(bisect_right(ends, start), bisect_left(starts, end) if start < end else 0)


def _words(text: str) -> list[tuple[int, int, str]]:
    """Words as BERT splits them, without case: start, end, spelling."""
    places: Sequence[int] = range(len(text))
    if not text.isprintable() or not text.isascii():  # else there is nothing invisible
        places = [place for place, character in enumerate(text) if not is_invisible(character)]
    seen = "".join([text[place] for place in places]) if len(places) < len(text) else text
    return [
        (places[word.start()], places[word.end() - 1] + 1, normalize("NFC", word[0].casefold()))
        for word in _pattern().finditer(seen.replace("’", "'"))
    ]


@cache
def _pattern() -> re.Pattern[str]:
    marks = punctuation() + CJK
    return re.compile(f"[^\\s{marks}]+|[{marks}]")
