"""Variants of examples: which, drawn how, duplicates, and what to count (Algorithm 1, design section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from augment.assemble import assemble_edits, assemble_texts, real_edits
from augment.candidate_table import SOURCES
from augment.draw import Draws, Jobs, draw_from_table, plan_jobs
from augment.presets import DrawSettings
from augment.sites import Sites

REDRAWS = 10
Drawer = Callable[[Sites, Jobs, DrawSettings], Draws]


@dataclass(frozen=True)
class VariantBatch:
    """Variants of R examples, ordered by example and variant.

    Args:
        rows: int64 (J,) the example.
        variants: int64 (J,) 0 is the original; numbered without gaps.
        texts: C string arrays (J,).
        edits: list array (J,) of `assemble.EDIT`.
        counts: what was drawn, by name.
    """

    rows: np.ndarray
    variants: np.ndarray
    texts: list[pa.Array]
    edits: pa.ListArray
    counts: dict[str, int]


def draw_variants(
    sites: Sites,
    source_idx: np.ndarray,
    texts: np.ndarray,
    names: list[str],
    settings: DrawSettings,
    leaks: Callable[[list[pa.Array]], np.ndarray] | None = None,
    drop_leaks: bool = False,
    drawer: Drawer = draw_from_table,
) -> VariantBatch:
    """Draws the variants of some examples.

    Args:
        sites: places where something can be drawn.
        source_idx: int64 or uint64 (R,) numbers of the examples: their rows in the input of a job.
        texts: int64 (R, C) their texts.
        names: of the C columns.
        settings: how to draw.
        leaks: says of J texts which occur in the held-out parts of the task, bool (J,).
        drop_leaks: whether such variants are left out.
        drawer: where replacements come from.

    Returns:
        The variants.
    """
    jobs = plan_jobs(source_idx, texts, settings)
    draws = drawer(sites, jobs, settings)
    columns = assemble_texts(sites, jobs, draws)
    repeated = _repeated(jobs, columns)
    if settings.duplicates == "redraw":
        jobs, draws, columns, repeated = _redraw(sites, jobs, draws, columns, repeated, settings, drawer)
    kept = np.ones(len(jobs), dtype=bool)
    counts = {"duplicate_variants": int(repeated.sum()), "dropped_duplicates": 0, "leaked_variants": 0}
    if settings.duplicates != "keep":
        kept &= ~repeated
        counts["dropped_duplicates"] = int(repeated.sum())
    if leaks is not None:
        leaked = leaks(columns) & kept & (jobs.variants > 0)
        counts["leaked_variants"] = int(leaked.sum())
        kept &= ~leaked if drop_leaks else True
    if not kept.all():
        jobs, draws, columns = _keep(jobs, draws, columns, kept)
    counts.update(_draw_counts(sites, draws))
    counts.update(source_rows=len(source_idx), rows=len(jobs))
    return VariantBatch(jobs.rows, _numbers(jobs.rows), columns, assemble_edits(sites, jobs, draws, names), counts)


def _repeated(jobs: Jobs, columns: list[pa.Array]) -> np.ndarray:
    """Which variants equal the original or an earlier variant of the same example: bool (J,)."""
    key = jobs.rows
    for column in columns:
        codes = pc.dictionary_encode(column).indices.to_numpy()
        _, key = np.unique(key * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)
    _, first = np.unique(key, return_index=True)
    repeated = np.ones(len(jobs), dtype=bool)
    repeated[first] = False
    return repeated


def _redraw(
    sites: Sites,
    jobs: Jobs,
    draws: Draws,
    columns: list[pa.Array],
    repeated: np.ndarray,
    settings: DrawSettings,
    drawer: Drawer,
) -> tuple[Jobs, Draws, list[pa.Array], np.ndarray]:
    for _ in range(REDRAWS):
        which = np.flatnonzero(repeated)
        if not len(which):
            break
        again = jobs.select(which).again()
        fresh = drawer(sites, again, settings)
        jobs.attempts[which] = again.attempts
        place = np.arange(len(jobs))
        place[which] = len(jobs) + np.arange(len(which))
        columns = [
            pa.concat_arrays([old, new]).take(pa.array(place))
            for old, new in zip(columns, assemble_texts(sites, again, fresh), strict=True)
        ]
        draws = _merge(draws, fresh, which, len(columns))
        repeated = _repeated(jobs, columns)
    return jobs, draws, columns, repeated


def _merge(draws: Draws, fresh: Draws, which: np.ndarray, columns: int) -> Draws:
    """The draws with those of the jobs `which` replaced by fresh ones."""
    segments = which[fresh.segments // columns] * columns + fresh.segments % columns
    old = draws.select(~np.isin(draws.segments // columns, which))
    both = zip(old.drawn, replace(fresh, segments=segments).drawn, strict=True)
    merged = Draws(draws.drawable, *map(np.concatenate, both))
    return merged.select(np.argsort(merged.segments, kind="stable"))


def _keep(jobs: Jobs, draws: Draws, columns: list[pa.Array], kept: np.ndarray) -> tuple[Jobs, Draws, list[pa.Array]]:
    width = len(columns)
    job = draws.segments // width
    segments = (np.cumsum(kept) - 1)[job] * width + draws.segments % width
    draws = replace(draws, segments=segments, drawable=draws.drawable[kept]).select(kept[job])
    return jobs.select(kept), draws, [column.filter(pa.array(kept)) for column in columns]


def _numbers(rows: np.ndarray) -> np.ndarray:
    """Position of each job within its example: 0, 1, 2, … without gaps, whatever was dropped."""
    first = np.searchsorted(rows, rows, side="left")
    return np.arange(len(rows)) - first


def _draw_counts(sites: Sites, draws: Draws) -> dict[str, int]:
    edits = real_edits(sites, draws)
    source = sites.candidates.sources[sites.words[draws.sites]]
    counts = {
        "drawable_words": int(draws.drawable.sum()),
        "draws": len(edits),
        "identity_draws": int((~edits).sum()),
        "edits": int(edits.sum()),
    }
    for number, name in enumerate(SOURCES):
        counts[f"edits_{name}"] = int((edits & (source == number)).sum())
    return counts
