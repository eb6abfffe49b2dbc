"""Candidates of the texts that were asked for last, kept in bounded memory: another seed or epoch needs no model."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

import numpy as np

from augment.stored import join_candidates, select_candidates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from augment.candidate_table import Candidates
    from augment.candidates import CandidateFinder

MOST_BYTES = 256 * 2**20  # about a million words with 20 candidates each


class RememberedCandidates:
    """Finds candidates as a finder does, of each text once while it is remembered.

    What is remembered belongs to this process: it is not pickled, so it does not change a fingerprint of `datasets`.

    Args:
        finder: finds those of texts that are not remembered.
        most_bytes: of what is remembered; the texts of the oldest call are forgotten first.
    """

    def __init__(self, finder: CandidateFinder, most_bytes: int = MOST_BYTES) -> None:
        self.finder, self._most = finder, most_bytes
        self._parts: deque[Candidates] = deque()  # what calls found, the oldest first
        self._bytes = 0
        self._places: dict[str, tuple[Candidates, int]] = {}  # by text: where it is, and its number there

    def __reduce__(self) -> tuple[type[RememberedCandidates], tuple[CandidateFinder, int]]:
        return RememberedCandidates, (self.finder, self._most)

    def find(self, texts: Sequence[str]) -> Candidates:
        """Candidates of some texts.

        Args:
            texts: T different texts.

        Returns:
            Their candidates, in order; `counts` is empty where some texts were remembered.

        Raises:
            ModelFailedError: the masked LM fails whatever it is given.
        """
        places = {text: self._places[text] for text in texts if text in self._places}
        new = [text for text in texts if text not in places]
        parts = [self.finder.find(new)] if new or not texts else []
        for found in parts:
            self._remember(found)
        if not places:
            return parts[0]
        wanted: dict[int, list[int]] = defaultdict(list)
        for part, number in places.values():
            wanted[id(part)].append(number)
        different = {id(part): part for part, _ in places.values()}
        parts += [select_candidates(different[key], np.array(numbers)) for key, numbers in wanted.items()]
        joined = join_candidates(parts)
        row = {text: number for number, text in enumerate(joined.texts)}
        return select_candidates(joined, np.array([row[text] for text in texts]))

    def _remember(self, found: Candidates) -> None:
        """A text that failed is tried again when it is asked for again: the machine may have been to blame."""
        self._parts.append(found)
        self._bytes += _bytes(found)
        self._places |= {text: (found, number) for number, text in enumerate(found.texts) if number not in found.errors}
        while self._bytes > self._most:
            oldest = self._parts.popleft()
            self._bytes -= _bytes(oldest)
            for text in oldest.texts:
                if self._places.get(text, (None,))[0] is oldest:
                    del self._places[text]


def _bytes(found: Candidates) -> int:
    """What candidates take, of objects of Python roughly."""
    arrays = (found.text_offsets, found.starts, found.ends, found.sources, found.offsets, found.codes, found.scores)
    return (
        sum(array.nbytes for array in arrays) + sum(100 + len(text) for text in found.texts) + 8 * len(found.spellings)
    )
