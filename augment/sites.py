"""The places of texts where a replacement can be drawn, and the strings that variants are put together from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from augment.candidate_table import SOURCES
from augment.casing import PATTERNS, apply_case, case_pattern, own_case_pattern
from augment.ragged import offsets_of

if TYPE_CHECKING:
    from augment.candidate_table import Candidates

MLM = SOURCES.index("mlm")


class StringPool:
    """Distinct strings, numbered."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, string: str) -> int:
        """The number of a string, a new one if it has none."""
        number = self._numbers.setdefault(string, len(self.strings))
        if number == len(self.strings):
            self.strings.append(string)
        return number


@dataclass(frozen=True)
class Sites:
    """Words of T texts that may be replaced, as flat arrays over S sites.

    Args:
        candidates: the table they come from.
        offsets: int64 (T + 1,) first site of each text.
        words: int64 (S,) word in the table.
        starts, ends: int32 (S,) code points.
        sizes: int64 (S,) candidates; 0 where they are only known when drawn (context `running`).
        patterns: int8 (S,) case pattern of the word.
        originals: int64 (S,) number of the word's spelling in the pool.
        piece_offsets: int64 (T + 1,) first piece of each text.
        pieces: int64 (2 S + T,) pool numbers: text before the first site, the site, text up to the next, …
        pool: the strings.
    """

    candidates: Candidates
    offsets: np.ndarray
    words: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    sizes: np.ndarray
    patterns: np.ndarray
    originals: np.ndarray
    piece_offsets: np.ndarray
    pieces: np.ndarray
    pool: StringPool

    def cased(self, codes: np.ndarray, patterns: np.ndarray) -> np.ndarray:
        """Pool numbers of replacements as they are to stand in the variant.

        Args:
            codes: int (D,) spelling numbers of the candidate table.
            patterns: int8 (D,) case patterns of the words they replace.

        Returns:
            int64 (D,).
        """
        key = codes.astype(np.int64) * PATTERNS + patterns
        spellings = self.candidates.spellings
        table = np.zeros(PATTERNS * len(spellings), dtype=np.int64)
        used = np.zeros(PATTERNS * len(spellings), dtype=bool)
        used[key] = True
        for entry in np.flatnonzero(used):
            table[entry] = self.pool.number(apply_case(spellings[entry // PATTERNS], int(entry % PATTERNS)))
        return table[key]


def find_sites(candidates: Candidates, running: bool = False, kept: np.ndarray | None = None) -> Sites:
    """Lists the places where something can be drawn.

    Args:
        candidates: of T texts.
        running: whether masked-LM words count as sites although their candidates are not in the table.
        kept: bool (W,) words that stay all the same; None for none.

    Returns:
        The sites, in order of text and position.
    """
    sizes = np.diff(candidates.offsets)
    usable = (sizes > 0) | (candidates.sources == MLM) if running else sizes > 0
    if kept is not None:
        usable &= ~kept
    words = np.flatnonzero(usable)
    offsets = offsets_of(usable)[candidates.text_offsets]
    starts, ends = candidates.starts[words], candidates.ends[words]
    pool = StringPool()
    patterns = np.zeros(len(words), dtype=np.int8)
    originals = np.zeros(len(words), dtype=np.int64)
    pieces = np.zeros(2 * len(words) + len(candidates.texts), dtype=np.int64)
    known: dict[str, tuple[int, int]] = {}
    place = site = 0
    start_list, end_list = starts.tolist(), ends.tolist()
    own_case = np.array(candidates.own_case)[candidates.sources[words]].tolist()
    for text, last in zip(candidates.texts, offsets[1:].tolist(), strict=True):
        cursor = 0
        while site < last:
            start, end = start_list[site], end_list[site]
            spelling = text[start:end]
            if spelling not in known:
                known[spelling] = pool.number(spelling), case_pattern(spelling)
            originals[site], patterns[site] = known[spelling]
            if own_case[site]:
                patterns[site] = own_case_pattern(spelling, text, start)
            pieces[place], pieces[place + 1] = pool.number(text[cursor:start]), originals[site]
            cursor, site, place = end, site + 1, place + 2
        pieces[place] = pool.number(text[cursor:])
        place += 1
    piece_offsets = 2 * offsets + np.arange(len(offsets))
    return Sites(
        candidates, offsets, words, starts, ends, sizes[words], patterns, originals, piece_offsets, pieces, pool
    )
