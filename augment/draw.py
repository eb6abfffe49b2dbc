"""Draws replacements from candidates, vectorised over many examples and variants (Algorithm 1, lines 13-18)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from augment.hashing import absorb, below, seeded, uniform
from augment.presets import DrawSettings
from augment.ragged import ragged

if TYPE_CHECKING:
    from augment.sites import Sites

ALL_COLUMNS = -1


@dataclass(frozen=True, kw_only=True)
class DrawEach(DrawSettings):
    """Settings of R examples that get different numbers of variants.

    Args:
        each: int64 (R,) variants of each example, in place of n.
    """

    each: np.ndarray


@dataclass(frozen=True)
class Jobs:
    """J variants to draw of R examples with C text columns each.

    Args:
        rows: int64 (J,) the example, ascending.
        source_idx: int64 or uint64 (J,) its number, a counter of the hash: its row in the input of a job.
        variants: int64 (J,) 0 is the original.
        attempts: int64 (J,) how often the variant was drawn before.
        columns: int64 (J,) the column that varies, or ALL_COLUMNS.
        texts: int64 (J, C) texts of the candidate table.
        kept: int64 (J, K, 2) spans of code points of the first text (the end excluded) in which nothing is replaced;
            None for none.
    """

    rows: np.ndarray
    source_idx: np.ndarray
    variants: np.ndarray
    attempts: np.ndarray
    columns: np.ndarray
    texts: np.ndarray
    kept: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, which: np.ndarray) -> Jobs:
        """Some of the jobs, by index or boolean mask."""
        kept = None if self.kept is None else self.kept[which]
        names = [name for name in self.__dataclass_fields__ if name != "kept"]
        return Jobs(**{name: getattr(self, name)[which] for name in names}, kept=kept)

    def again(self) -> Jobs:
        """The same jobs, drawn once more."""
        return replace(self, attempts=self.attempts + 1)


@dataclass(frozen=True)
class Draws:
    """D drawn replacements, in the order of job, column and position; identity draws included.

    Args:
        drawable: int64 (J,) sites that could have been drawn in each job.
        segments: int64 (D,) job x C + column.
        sites: int64 (D,).
        strings: int64 (D,) the replacement as it stands in the variant, a number of the sites' pool.
        ranks: int16 (D,) place among the word's candidates.
        scores: float32 (D,).
    """

    drawable: np.ndarray
    segments: np.ndarray
    sites: np.ndarray
    strings: np.ndarray
    ranks: np.ndarray
    scores: np.ndarray

    @property
    def drawn(self) -> tuple[np.ndarray, ...]:
        """The arrays (D,), in the order of the arguments."""
        return self.segments, self.sites, self.strings, self.ranks, self.scores

    def select(self, which: np.ndarray) -> Draws:
        """Some of the draws, by index or boolean mask, of the same jobs."""
        return Draws(self.drawable, *(column[which] for column in self.drawn))


@dataclass(frozen=True)
class Chosen:
    """Sites that are to be replaced, before it is known by what.

    Args:
        segments, sites: int64 (D,).
        states: uint64 (D,) the hash that chooses among the candidates.
        drawable: int64 (J,).
    """

    segments: np.ndarray
    sites: np.ndarray
    states: np.ndarray
    drawable: np.ndarray


def plan_jobs(source_idx: np.ndarray, texts: np.ndarray, settings: DrawSettings) -> Jobs:
    """The variants of some examples, the original first (N, or N for each column with pairs `each`).

    Args:
        source_idx: int64 or uint64 (R,).
        texts: int64 (R, C).
        settings: n, or the numbers of `DrawEach`, and pairs are read.

    Returns:
        Jobs ordered by example and variant.
    """
    rows, columns = texts.shape
    varied = {"joint": [ALL_COLUMNS], "first": [0], "second": [min(1, columns - 1)], "each": list(range(columns))}[
        settings.pairs
    ]
    each = settings.each if isinstance(settings, DrawEach) else np.full(rows, settings.n)  # (R,)
    row, variant = ragged(np.zeros(rows, np.int64), 1 + each * len(varied))  # (J,)
    column = np.array([ALL_COLUMNS, *varied], np.int64)[-(-variant // np.maximum(each, 1)[row])]
    return Jobs(row, source_idx[row], variant, np.zeros(len(row), dtype=np.int64), column, texts[row])


def choose_sites(sites: Sites, jobs: Jobs, settings: DrawSettings) -> Chosen:
    """Decides which words are replaced: one uniform number for each word, drawn if below p.

    Args:
        sites: where something can be drawn.
        jobs: the variants.
        settings: seed and p are read.

    Returns:
        The chosen sites in order.
    """
    columns = jobs.texts.shape[1]
    text = jobs.texts.reshape(-1)  # (J, C) to (J C,)
    column = np.tile(np.arange(columns), len(jobs))
    varied = np.repeat(jobs.columns, columns)
    active = ((varied == ALL_COLUMNS) | (varied == column)) & (np.repeat(jobs.variants, columns) > 0)
    counts = np.where(active, sites.offsets[text + 1] - sites.offsets[text], 0)
    state = absorb(seeded(settings.seed), jobs.source_idx)  # (J,)
    state = absorb(np.repeat(state, columns), column)
    state = absorb(state, np.repeat(jobs.variants, columns))
    segment, site = ragged(sites.offsets[text], counts)
    drawable = counts.reshape(-1, columns).sum(axis=1)
    if jobs.kept is not None:
        free = ~_in_kept_spans(sites, jobs.kept, segment, site, columns)
        segment, site = segment[free], site[free]
        drawable = np.bincount(segment // columns, minlength=len(jobs))
    state = absorb(state[segment], sites.starts[site])
    purpose = 2 * np.repeat(jobs.attempts, columns)[segment]
    chosen = np.flatnonzero(uniform(absorb(state, purpose)) < settings.p)
    return Chosen(
        segment[chosen],
        site[chosen],
        absorb(state[chosen], purpose[chosen] + 1),
        drawable,
    )


def _in_kept_spans(sites: Sites, kept: np.ndarray, segment: np.ndarray, site: np.ndarray, columns: int) -> np.ndarray:
    """Which sites of which jobs (segments) overlap a span of the first text that is kept, bool."""
    found = np.zeros(len(site), dtype=bool)
    for spans in kept[segment // columns].transpose(1, 2, 0):  # (2, S) at a time
        found |= (sites.starts[site] < spans[1]) & (sites.ends[site] > spans[0])
    return found & (segment % columns == 0)


def draw_from_table(sites: Sites, jobs: Jobs, settings: DrawSettings) -> Draws:
    """Draws replacements from stored candidates, each equally likely.

    Args:
        sites: places with their candidates.
        jobs: the variants.
        settings: seed and p are read.

    Returns:
        The draws.
    """
    chosen = choose_sites(sites, jobs, settings)
    found = draw_candidates(sites, chosen.sites, chosen.states)
    return Draws(chosen.drawable, chosen.segments, chosen.sites, *found)


def draw_candidates(sites: Sites, chosen: np.ndarray, states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws one candidate of the table for each chosen site.

    Args:
        sites: places with their candidates.
        chosen: int64 (D,) sites, of which each has candidates.
        states: uint64 (D,) the hashes that choose.

    Returns:
        Strings, ranks and scores as in `Draws`.
    """
    rank = below(states, sites.sizes[chosen])
    candidate = sites.candidates.offsets[sites.words[chosen]] + rank
    strings = sites.cased(sites.candidates.codes[candidate], sites.patterns[chosen])
    return strings, rank.astype(np.int16), sites.candidates.scores[candidate]
