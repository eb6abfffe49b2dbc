"""Words that are never replaced (`--protect`): negations, names, aspect terms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from augment.errors import AugmentError
from augment.presets import is_regex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from augment.words import WordedText, WordSplitter


class Protected:
    """Finds protected words in texts.

    Args:
        entries: words or phrases, compared without case, or `/regular expressions/`, each searched in one word.
            A phrase is what the splitter makes several words of: `don't` and `New York` as well.
        splitter: splits the entries as it splits the texts.

    Raises:
        AugmentError: an entry without words.
    """

    def __init__(self, entries: Sequence[str], splitter: WordSplitter) -> None:
        self._patterns = [re.compile(entry[1:-1]) for entry in entries if is_regex(entry)]
        self._phrases: dict[str, list[list[str]]] = {}  # by first word
        plain = [entry for entry in entries if not is_regex(entry)]
        for entry, worded in zip(plain, splitter.split(plain), strict=True):
            words = _folded(worded)
            if not words:
                raise AugmentError(f"protect: expected words, found none in {entry!r}; leave it out")
            self._phrases.setdefault(words[0], []).append(words)

    def places(self, text: WordedText) -> set[int]:
        """Numbers of the words of a text that must stay.

        Args:
            text: a text split by the same splitter.
        """
        found: set[int] = set()
        if self._patterns:
            spellings = [text.spelling(word) for word in text.words]
            found |= {n for n, word in enumerate(spellings) if any(one.search(word) for one in self._patterns)}
        if self._phrases:
            words = _folded(text)
            for start, word in enumerate(words):
                for phrase in self._phrases.get(word, ()):
                    if words[start : start + len(phrase)] == phrase:
                        found.update(range(start, start + len(phrase)))
        return found


def _folded(text: WordedText) -> list[str]:
    return [text.spelling(word).casefold() for word in text.words]
