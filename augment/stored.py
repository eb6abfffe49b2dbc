"""Candidates found before: put together, selected, and looked up by text in place of a masked LM."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from augment.candidate_table import Candidates, word_counts
from augment.errors import AugmentError
from augment.kept import kept_counts
from augment.ragged import gathered, joined_offsets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from augment.candidates import CandidateFinder


def join_candidates(parts: Sequence[Candidates]) -> Candidates:
    """Candidates of several lists of texts as those of one.

    Args:
        parts: at least one.

    Returns:
        The candidates of all their texts, in order.
    """
    if len(parts) == 1:
        return parts[0]
    first_text = np.cumsum([0, *(len(part.texts) for part in parts)]).tolist()
    first_code = np.cumsum([0, *(len(part.spellings) for part in parts)])
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts)

    def laid(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return Candidates(
        [text for part in parts for text in part.texts],
        joined_offsets([part.text_offsets for part in parts]),
        laid("starts"),
        laid("ends"),
        laid("sources"),
        joined_offsets([part.offsets for part in parts]),
        np.concatenate([part.codes + first for part, first in zip(parts, first_code, strict=False)]).astype(np.int32),
        laid("scores"),
        [spelling for part in parts for spelling in part.spellings],
        {
            first + number: error
            for part, first in zip(parts, first_text, strict=False)
            for number, error in part.errors.items()
        },
        dict(counts),
        [kept for part in parts for kept in part.kept],
        parts[0].own_case,
    )


def select_candidates(candidates: Candidates, numbers: np.ndarray) -> Candidates:
    """The candidates of some texts.

    Args:
        candidates: of T texts.
        numbers: int64 (S,) numbers of the texts wanted, in any order.

    Returns:
        The candidates of these S texts, in the order of `numbers`, without counts.
    """
    if np.array_equal(numbers, np.arange(len(candidates.texts))):
        return candidates
    words, text_offsets = gathered(candidates.text_offsets, numbers)
    found, offsets = gathered(candidates.offsets, words)
    wanted = numbers.tolist()
    return replace(
        candidates,
        texts=[candidates.texts[number] for number in wanted],
        text_offsets=text_offsets,
        starts=candidates.starts[words],
        ends=candidates.ends[words],
        sources=candidates.sources[words],
        offsets=offsets,
        codes=candidates.codes[found],
        scores=candidates.scores[found],
        errors={place: candidates.errors[number] for place, number in enumerate(wanted) if number in candidates.errors},
        counts={},
        kept=[candidates.kept[number] for number in wanted] if candidates.kept else [],
    )


def counted_again(stored: Candidates, finder: CandidateFinder) -> Candidates:
    """Candidates that were found before, with the counts that `find` gives; the masked LM had nothing to do.

    Args:
        stored: of texts that could be worked on.
        finder: has the model, vectors and settings that they were found with.
    """
    kept = finder.sorted_words(finder.model.splitter.split(stored.texts))
    found = word_counts(stored.sources, np.diff(stored.offsets))
    return replace(stored, kept=kept, counts={**kept_counts(kept), **found, "texts": len(stored.texts)})


class StoredCandidates:
    """Finds candidates by looking them up, where `CandidateFinder` asks a masked LM.

    Args:
        candidates: of different texts.

    Raises:
        AugmentError: a text occurs twice.
    """

    def __init__(self, candidates: Candidates) -> None:
        self._numbers = {text: number for number, text in enumerate(candidates.texts)}
        self._unknown = len(candidates.texts)
        if len(self._numbers) < self._unknown:
            (text, times), *_ = Counter(candidates.texts).most_common(1)
            raise AugmentError(
                f"candidates: expected different texts, found {text[:40]!r} {times} times; those of a run with "
                "--pair-context belong to pairs and cannot be drawn from text by text"
            )
        # One more text without words stands for all that are asked for and are not among the texts.
        self._candidates = replace(
            candidates,
            texts=[*candidates.texts, ""],
            text_offsets=np.append(candidates.text_offsets, candidates.text_offsets[-1]),
            errors={**candidates.errors, self._unknown: "expected a text with stored candidates, found another"},
            kept=[],
        )

    def find(self, texts: Sequence[str]) -> Candidates:
        """The stored candidates of some texts.

        Args:
            texts: T texts.

        Returns:
            Their candidates; a text that has none stored has an entry in `errors` and no words.
        """
        numbers = np.array([self._numbers.get(text, self._unknown) for text in texts], dtype=np.int64)
        return replace(select_candidates(self._candidates, numbers), texts=list(texts))
