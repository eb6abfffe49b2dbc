"""Context `running`: the masked LM sees the replacements made earlier in the same variant (Algorithm 1, 5-18).

The pseudo-code asks the masked LM at every word; here it is asked only where a replacement was drawn, which gives
the same variants, and all variants of many texts go forward in lockstep, one drawn word each in a round.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from augment.candidates import GLOVE
from augment.casing import apply_case
from augment.draw import Chosen, Draws, Jobs, choose_sites
from augment.errors import FailedExamplesError
from augment.hashing import below
from augment.masked_copies import Masked, masked_copies
from augment.proposals import Proposals
from augment.words import WordedText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from augment.candidate_table import Candidates
    from augment.candidates import CandidateFinder
    from augment.presets import DrawSettings
    from augment.sites import Sites
    from augment.words import Word


@dataclass
class _Variant:
    """A text half way through Algorithm 1: `done` ids stand for its tokens before `cursor`."""

    text: int
    draws: list[int]
    done: list[int] = field(default_factory=list)
    cursor: int = 0
    position: int = 0


class RunningDrawer:
    """Draws replacements with a masked LM that reads the changing text.

    Args:
        finder: the masked LM, the vectors and the settings.
        candidates: what the finder found for these texts: candidates of multi-piece words only.
        partners: with segment `partner`, the other text of each pair, unchanged.
    """

    def __init__(self, finder: CandidateFinder, candidates: Candidates, partners: Sequence[str] | None = None) -> None:
        self._finder, self._candidates = finder, candidates
        self._worded = finder.model.splitter.split(candidates.texts)
        self._seconds = finder.seconds(self._worded, partners)
        self._by_start = [{word.start: word for word in text.words} for text in self._worded]
        self._ids_of: dict[str, list[int]] = {}

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
        sizes = sites.sizes[chosen.sites]
        ranks = np.full(len(sizes), -1, dtype=np.int64)
        strings = np.zeros(len(sizes), dtype=np.int64)
        scores = np.zeros(len(sizes), dtype=np.float32)
        known = np.flatnonzero(sites.candidates.sources[sites.words[chosen.sites]] == GLOVE)
        ranks[known] = below(chosen.states[known], sizes[known])
        candidate = sites.candidates.offsets[sites.words[chosen.sites[known]]] + ranks[known]
        strings[known] = sites.cased(sites.candidates.codes[candidate], sites.patterns[chosen.sites[known]])
        scores[known] = sites.candidates.scores[candidate]
        self._rounds(sites, jobs, chosen, ranks, strings, scores)
        drawn = ranks >= 0
        return Draws(
            chosen.segments[drawn],
            chosen.sites[drawn],
            strings[drawn],
            ranks[drawn].astype(np.int16),
            scores[drawn],
            chosen.drawable,
        )

    def _rounds(
        self,
        sites: Sites,
        jobs: Jobs,
        chosen: Chosen,
        ranks: np.ndarray,
        strings: np.ndarray,
        scores: np.ndarray,
    ) -> None:
        texts = jobs.texts.reshape(-1)
        columns = jobs.texts.shape[1]
        segments, first = np.unique(chosen.segments, return_index=True)
        last = np.append(first, len(chosen.segments))[1:]  # empty where nothing was drawn
        active = [
            _Variant(int(texts[segment]), list(range(start, stop)))
            for segment, start, stop in zip(segments, first.tolist(), last.tolist(), strict=True)
        ]
        while active := [variant for variant in active if self._advance(variant, sites, chosen, ranks, strings)]:
            draws = np.array([variant.draws[variant.position] for variant in active])
            proposals = self._propose(active, sites, chosen)
            if proposals.errors:
                rows = jobs.rows[chosen.segments[draws] // columns]
                raise FailedExamplesError({int(rows[place]): error for place, error in proposals.errors.items()})
            counts = (proposals.ids >= 0).sum(axis=1)
            rank = below(chosen.states[draws], np.maximum(counts, 1))
            for place, (variant, draw) in enumerate(zip(active, draws.tolist(), strict=True)):
                if counts[place]:
                    spelling = self._finder.model.vocabulary.tokens[proposals.ids[place, rank[place]]]
                    cased = apply_case(spelling, int(sites.patterns[chosen.sites[draw]]))
                    ranks[draw], scores[draw] = rank[place], proposals.scores[place, rank[place]]
                    strings[draw] = sites.pool.number(cased)
                    self._write(variant, self._word(variant, sites, chosen, draw), cased)
                variant.position += 1

    def _advance(self, variant: _Variant, sites: Sites, chosen: Chosen, ranks: np.ndarray, strings: np.ndarray) -> bool:
        """Writes the replacements that need no masked LM; False at the end of the variant."""
        while variant.position < len(variant.draws):
            draw = variant.draws[variant.position]
            if ranks[draw] < 0:
                return True
            self._write(variant, self._word(variant, sites, chosen, draw), sites.pool.strings[strings[draw]])
            variant.position += 1
        return False

    def _propose(self, active: list[_Variant], sites: Sites, chosen: Chosen) -> Proposals:
        texts, masked, seconds, words = [], [], [], []
        for place, variant in enumerate(active):
            original = self._worded[variant.text]
            word = self._word(variant, sites, chosen, variant.draws[variant.position])
            before = variant.done + original.ids[variant.cursor : word.token]
            texts.append(WordedText("", before + original.ids[word.token :], []))
            masked.append([Masked(0, len(before), place)])
            seconds.append(self._seconds[variant.text])
            words.append((original, word))
        finder = self._finder
        proposals = Proposals(finder.model, len(active), finder.settings.k, finder.excluded(words))
        proposals.run(masked_copies(texts, masked, seconds, finder.special), finder.batch_tokens)
        return proposals

    def _word(self, variant: _Variant, sites: Sites, chosen: Chosen, draw: int) -> Word:
        return self._by_start[variant.text][int(sites.starts[chosen.sites[draw]])]

    def _write(self, variant: _Variant, word: Word, replacement: str) -> None:
        if replacement not in self._ids_of:
            self._ids_of[replacement] = self._finder.model.splitter.split([replacement])[0].ids
        original = self._worded[variant.text]
        variant.done = variant.done + original.ids[variant.cursor : word.token] + self._ids_of[replacement]
        variant.cursor = word.token + word.pieces
