"""Which words of a text may be replaced, and why the others stay (design section 3)."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from augment.joined import joined_spans
from augment.protected import Protected, overlapped
from augment.words import eligibility

if TYPE_CHECKING:
    from collections.abc import Sequence

    from augment.candidate_table import Candidates
    from augment.presets import CandidateSettings
    from augment.words import Words


class Sorted(NamedTuple):
    """Eligible words of a text, by what becomes of them.

    Attributes:
        free: numbers of the words that may be replaced, in order.
        protected: number of a word and of an entry of `protect` that keeps it, for each such entry.
        whole: how many others are kept because they are written together.
    """

    free: list[int]
    protected: set[tuple[int, int]]
    whole: int


NO_WORDS = Sorted([], set(), 0)


class WordSorter:
    """Tells words that may be replaced from those that stay.

    Args:
        settings: punctuation, skip_stopwords, protect and keep_whole are read.
    """

    def __init__(self, settings: CandidateSettings) -> None:
        self._eligible, self._protected = eligibility(settings), Protected(settings.protect)
        self._keep_whole = settings.keep_whole

    def sort(self, words: Words, number: int) -> Sorted:
        """Sorts the words of a text.

        Args:
            words: of several texts.
            number: of the text.
        """
        text, own = words.texts[number], slice(words.offsets[number], words.offsets[number + 1])
        starts, ends = words.starts[own].tolist(), words.ends[own].tolist()
        spans = zip(starts, ends, strict=True)
        eligible = [place for place, (start, end) in enumerate(spans) if self._eligible(text[start:end])]
        protected: set[tuple[int, int]] = set()
        unprotected = eligible
        if self._protected.entries:
            may = set(eligible)
            protected = {pair for pair in self._protected.places(text, starts, ends) if pair[0] in may}
            kept = {place for place, _ in protected}
            unprotected = [place for place in eligible if place not in kept]
        free = unprotected
        if self._keep_whole and (together := joined_spans(text)):
            joined: set[int] = set()
            for start, end in together:
                joined.update(overlapped(starts, ends, start, end))
            free = [place for place in unprotected if place not in joined]
        return Sorted(free, protected, len(unprotected) - len(free))


def keep_in_table(candidates: Candidates, protected: Protected) -> tuple[np.ndarray, list[Sorted]]:
    """Protects words whose candidates are stored.

    Args:
        candidates: of T texts.
        protected: what stays.

    Returns:
        bool (W,), the words that stay; and what is kept of each text.
    """
    mask = np.zeros(len(candidates.starts), dtype=bool)
    kept = []
    starts, ends = candidates.starts.tolist(), candidates.ends.tolist()
    for text, (first, last) in zip(candidates.texts, pairwise(candidates.text_offsets.tolist()), strict=True):
        found = protected.places(text, starts[first:last], ends[first:last])
        mask[[first + place for place, _ in found]] = True
        kept.append(Sorted([], found, 0))
    return mask, kept


def kept_counts(kept: Sequence[Sorted], times: Sequence[int] | None = None) -> dict[str, int]:
    """How many eligible words are kept: protected ones, and those that are written together.

    Args:
        kept: of each text.
        times: how often each text counts; None: once.
    """
    counts = {"protected_words": 0, "whole_words": 0}
    for text, often in zip(kept, times or [1] * len(kept), strict=True):
        counts["protected_words"] += often * len({place for place, _ in text.protected})
        counts["whole_words"] += often * text.whole
    return counts


def protected_by_entry(
    kept: Sequence[Sorted], entries: Sequence[str], times: Sequence[int] | None = None
) -> dict[str, int]:
    """How many words each entry of `protect` keeps; entries that keep none are left out.

    Args:
        kept: of each text.
        entries: of `protect`.
        times: how often each text counts; None: once.
    """
    found: Counter[int] = Counter()
    for text, often in zip(kept, times or [1] * len(kept), strict=True):
        for _, entry in text.protected:
            found[entry] += often
    return {entries[number]: found[number] for number in sorted(found)}
