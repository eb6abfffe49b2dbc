"""What a call of the Python interface does with its texts: their candidates, then variants, some texts at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from augment.draw import draw_from_table
from augment.errors import FailedExamplesError
from augment.kept import keep_in_table
from augment.protected import Protected
from augment.running import RunningDrawer
from augment.sites import find_sites
from augment.stored import StoredCandidates, join_candidates, select_candidates
from augment.variant_table import TEXTS, variant_table
from augment.variants import VariantBatch, draw_variants

if TYPE_CHECKING:
    import pyarrow as pa

    from augment.candidate_table import Candidates
    from augment.candidates import CandidateFinder
    from augment.given_texts import BadTexts, GivenTexts
    from augment.presets import DrawSettings
    from augment.remembered import RememberedCandidates
    from augment.sites import Sites

TEXTS_AT_ONCE = 2048
VARIANTS_AT_ONCE = 45_000  # of 5,000 words each they still fit into one Arrow array of strings, which holds 2 GB


def find_candidates(finder: RememberedCandidates | StoredCandidates, given: GivenTexts, bad: BadTexts) -> Candidates:
    """Candidates of the different texts of a call, each found once.

    Args:
        finder: where candidates come from.
        given: the texts or pairs.
        bad: takes note of those that cannot be worked on.

    Raises:
        AugmentError: a text that cannot be worked on and is not to be left out.
        ModelFailedError: the masked LM fails whatever it is given.
    """
    texts = given.different()
    found = []
    for start in range(0, max(len(texts), 1), TEXTS_AT_ONCE):
        some = finder.find(texts[start : start + TEXTS_AT_ONCE])
        if some.errors:
            failed = {some.texts[number]: reason for number, reason in some.errors.items()}
            rows = zip(given.places.tolist(), *given.columns, strict=True)
            bad.add({place: failed[text] for place, *row in rows for text in row if text in failed})
        found.append(some)
    return join_candidates(found)


def draw_table(
    given: GivenTexts,
    candidates: Candidates,
    running: CandidateFinder | None,
    settings: DrawSettings,
    protect: tuple[str, ...],
    bad: BadTexts,
) -> pa.Table:
    """Variants of the texts of a call.

    Args:
        given: the texts or pairs.
        candidates: of their different texts.
        running: what draws with the changing text; None draws from the candidates.
        settings: how to draw.
        protect: words that stay beside those that have no candidates.
        bad: knows what cannot be worked on, and takes note of more.

    Returns:
        A table as `variant_table` makes it.

    Raises:
        AugmentError, ModelFailedError: as `find_candidates`.
    """
    given = given.without(bad.reasons)
    number_of = {text: number for number, text in enumerate(candidates.texts)}
    protected = Protected(protect) if protect else None
    step = max(1, min(TEXTS_AT_ONCE, VARIANTS_AT_ONCE // (settings.n * len(given.columns) + 1)))
    batches = []
    for start in range(0, len(given), step):
        some = given.take(np.arange(start, min(start + step, len(given))))
        asked = np.array([[number_of[text] for text in column] for column in some.columns])  # (C, R)
        numbers, rows = np.unique(asked, return_inverse=True)
        found = select_candidates(candidates, numbers)
        kept = keep_in_table(found, protected)[0] if protected else None
        sites = find_sites(found, running is not None, kept)
        batches.append(_variants(some, sites, rows.reshape(asked.shape).T, running, settings, bad))
    return variant_table(batches, TEXTS[: len(given.columns)])


def _variants(
    given: GivenTexts,
    sites: Sites,
    rows: np.ndarray,
    running: CandidateFinder | None,
    settings: DrawSettings,
    bad: BadTexts,
) -> tuple[VariantBatch, np.ndarray]:
    """Variants of R texts or pairs, of whose texts `rows` (R, C) are the numbers, and the place of each in the call."""
    drawer = draw_from_table if running is None else RunningDrawer(running, sites.candidates)
    numbers, places, names = given.numbers, given.places, [*TEXTS[: rows.shape[1]]]
    while True:
        try:
            return draw_variants(sites, numbers, rows, names, settings, drawer=drawer), places
        except FailedExamplesError as error:
            failed = error.errors
        bad.add({int(places[row]): reason for row, reason in failed.items()})
        kept = np.setdiff1d(np.arange(len(rows)), list(failed))
        numbers, places, rows = numbers[kept], places[kept], rows[kept]
