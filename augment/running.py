"""Context `running`: the masked LM sees the replacements made earlier in the same variant (Algorithm 1, 5-18).

The pseudo-code asks the masked LM at every word; here it is asked only where a replacement was drawn, which gives
the same variants, and all variants of many texts go forward in lockstep, one drawn word each in a round.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from augment.candidates import GLOVE
from augment.casing import apply_case
from augment.draw import Chosen, Draws, Jobs, choose_sites, draw_candidates
from augment.errors import FailedExamplesError
from augment.hashing import below
from augment.masked_copies import MaskedCopies, Masks
from augment.proposals import Proposals
from augment.words import TokenRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from augment.candidate_table import Candidates
    from augment.candidates import CandidateFinder
    from augment.presets import DrawSettings
    from augment.sites import Sites, StringPool


@dataclass
class _Variant:
    """A text half way through Algorithm 1.

    Args:
        left: numbers of the chosen words that are not replaced yet, the next one last.
        ids: tokens of the text, with the replacements made so far.
        shift: by how many tokens these made it longer.
    """

    left: list[int]
    ids: list[int]
    shift: int = 0


class RunningDrawer:
    """Draws replacements with a masked LM that reads the changing text.

    Args:
        finder: the masked LM, the vectors and the settings.
        candidates: what the finder found for these texts: candidates of multi-piece words only.
        partners: with segment `partner`, the other text of each pair, unchanged.
    """

    def __init__(self, finder: CandidateFinder, candidates: Candidates, partners: Sequence[str] | None = None) -> None:
        self._finder = finder
        self._words = finder.model.splitter.split(candidates.texts)
        self._seconds = finder.seconds(self._words, partners)
        texts = self._words.texts_of(np.arange(len(self._words.starts)))
        self._keys = _keys(texts, self._words.starts)
        self._ids_of: dict[tuple[str, int], list[int]] = {}

    def __call__(self, sites: Sites, jobs: Jobs, settings: DrawSettings) -> Draws:
        """Draws replacements for some variants.

        Args:
            sites: places found with `running=True`.
            jobs: the variants.
            settings: seed and p are read.

        Returns:
            The draws; a chosen word for which the masked LM has no candidate stays and is no draw.

        Raises:
            FailedExamplesError: naming the examples the masked LM cannot work on.
        """
        chosen = choose_sites(sites, jobs, settings)
        size = len(chosen.sites)
        strings, scores = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.float32)
        ranks = np.full(size, -1, dtype=np.int16)
        draws = Draws(chosen.drawable, chosen.segments, chosen.sites, strings, ranks, scores)
        known = np.flatnonzero(sites.candidates.sources[sites.words[chosen.sites]] == GLOVE)
        found = draw_candidates(sites, chosen.sites[known], chosen.states[known])
        draws.strings[known], draws.ranks[known], draws.scores[known] = found
        self._rounds(sites, jobs, chosen, draws)
        return draws.select(draws.ranks >= 0)

    def _rounds(self, sites: Sites, jobs: Jobs, chosen: Chosen, draws: Draws) -> None:
        """Asks the masked LM for the next chosen word of every variant until none is left."""
        texts = jobs.texts.reshape(-1)[chosen.segments]  # (D,)
        words = np.searchsorted(self._keys, _keys(texts, sites.starts[chosen.sites]))
        first = np.flatnonzero(np.diff(chosen.segments, prepend=-1)).tolist()
        active = [
            _Variant([*reversed(range(start, stop))], self._words.rows.row(texts[start]))
            for start, stop in pairwise([*first, len(texts)])
        ]
        while active := [variant for variant in active if self._replaced(variant, words, draws, sites.pool)]:
            asked = np.array([variant.left[-1] for variant in active])
            proposals = self._propose(active, texts[asked], words[asked])
            if proposals.errors:
                rows = jobs.rows[chosen.segments[asked] // jobs.texts.shape[1]]
                raise FailedExamplesError({int(rows[place]): error for place, error in proposals.errors.items()})
            counts = (proposals.ids >= 0).sum(axis=1)
            rank = below(chosen.states[asked], np.maximum(counts, 1))
            for place, (variant, draw) in enumerate(zip(active, asked.tolist(), strict=True)):
                if not counts[place]:
                    variant.left.pop()
                    continue
                spelling = self._finder.model.vocabulary.tokens[proposals.ids[place, rank[place]]]
                cased = apply_case(spelling, int(sites.patterns[chosen.sites[draw]]))
                draws.ranks[draw], draws.scores[draw] = rank[place], proposals.scores[place, rank[place]]
                draws.strings[draw] = sites.pool.number(cased)

    def _replaced(self, variant: _Variant, words: np.ndarray, draws: Draws, pool: StringPool) -> bool:
        """Makes the replacements that are drawn already; whether one is left for the masked LM."""
        while variant.left and draws.ranks[variant.left[-1]] >= 0:
            draw = variant.left.pop()
            replacement = pool.strings[draws.strings[draw]]
            place = int(self._words.tokens[words[draw]]) + variant.shift
            key = replacement, variant.ids[place]
            if key not in self._ids_of:
                self._ids_of[key] = self._finder.model.splitter.ids_of(*key)
            new, pieces = self._ids_of[key], int(self._words.pieces[words[draw]])
            variant.ids[place : place + pieces] = new
            variant.shift += len(new) - pieces
        return bool(variant.left)

    def _propose(self, active: list[_Variant], texts: np.ndarray, words: np.ndarray) -> Proposals:
        finder, every = self._finder, np.arange(len(active))
        tokens = self._words.tokens[words] + np.array([variant.shift for variant in active])
        rows = TokenRows.of([variant.ids for variant in active])
        seconds = None if self._seconds is None else self._seconds.take(texts)
        proposals = Proposals(finder.model, len(active), finder.settings.k, finder.excluded(self._words, words))
        masks = Masks(every, np.zeros_like(every), tokens, every)
        proposals.run(MaskedCopies(rows, seconds, masks, finder.special), finder.batch_tokens)
        return proposals


def _keys(texts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """One number for each place in some texts, ascending with text and code point."""
    return (texts.astype(np.int64) << 32) + starts
