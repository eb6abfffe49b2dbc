"""How much work an input is: all of it counted, or rows spread over a large one."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipelines.augmenting.distinct_words import DistinctWords
from pipelines.augmenting.snapshot import UniqueTexts
from pipelines.tasks.label_counts import LabelCounter
from pipelines.tasks.readers.source import sampling

if TYPE_CHECKING:
    import pyarrow as pa

    from augment.candidates import CandidateFinder
    from pipelines.augmenting.stages import Job
    from pipelines.reusing.known_texts import KnownTexts
    from pipelines.tasks import BadRow, OpenTask

SAMPLED_TEXTS = 192
SAMPLED_FOR_DEVICE = 8192  # short texts: about 2 M tokens, thirty batches of a GPU
GROWTH = 0.6  # words of n texts are about n^0.6 different ones (Heaps' law, for English)


class Counted(NamedTuple):
    """What was counted.

    Attributes:
        rows: good rows, at most the limit.
        rejected: bad rows.
        texts: unique texts.
        counts: words, masked words, masked copies and their tokens, over unique texts.
        labels: what a `LabelCounter` found in the rows that were read.
        sample: some texts and partners, spread over the input.
        words: distinct words of the rows that were read, as `DistinctWords` has them; none without vectors.
        words_about: how many all rows have.
        exact: whether all rows were read; otherwise the numbers have three digits.
        reused: unique texts whose candidates an earlier run has; what `counts` and `words` say is of the others.
    """

    rows: int
    rejected: int
    texts: int
    counts: dict[str, int]
    labels: list[float]
    sample: list[tuple[str, str]]
    words: pa.Table
    words_about: int
    exact: bool
    reused: int = 0


def count_work(
    opened: OpenTask, job: Job, finder: CandidateFinder, bad_rows: list[BadRow], earlier: KnownTexts | None = None
) -> Counted:
    """Counts rows, unique texts and what the masked LM would read.

    Args:
        opened: the task's files.
        job: the job.
        finder: splits texts into words.
        bad_rows: the list that the task's `on_bad` fills while rows are read.
        earlier: texts of an earlier run, whose candidates are taken from there.

    Raises:
        UserError: a row that cannot be read.
    """
    settings, whole = job.identity.settings, opened.split("train")
    every = sampling((source.path for source in whole.sources), settings.limit) if whole.picked is None else 1
    split = whole.sampled(every)
    unique = UniqueTexts(job.task.text_columns, job.with_partner, settings.candidates.mask_spacing)
    labels, counts, step, reused = LabelCounter(job.task.label), Counter[str](), 1, 0
    sample: list[tuple[str, str]] = []
    wanted = SAMPLED_FOR_DEVICE if settings.compute.device.startswith("cuda") else SAMPLED_TEXTS
    words = DistinctWords()
    known = [(0, 0)]  # rows and their unique texts as they grow
    for batch in split.batches(limit=settings.limit if every == 1 else None):
        labels.add(batch)
        seen, (_, new) = unique.count, unique.add(batch)
        texts = new.column("text").to_pylist()
        partners = new.column("partner").to_pylist() if job.with_partner else texts
        sample += [pair for place, pair in enumerate(zip(texts, partners, strict=True), seen) if place % step == 0]
        if earlier is not None:
            left = np.flatnonzero(earlier.numbers(new) < 0).tolist()
            reused += len(texts) - len(left)
            texts, partners = ([values[place] for place in left] for values in (texts, partners))
        counts.update(finder.count(texts, partners))
        if job.glove is not None:
            words.add(texts)
        while len(sample) > 2 * wanted:  # how many there will be is not known yet
            sample, step = sample[::2], 2 * step
        known.append((known[-1][0] + batch.num_rows, unique.count))
    sample, distinct = sample[:: max(1, -(-len(sample) // wanted))], words.found()
    of_words = (distinct, distinct.num_rows)
    rows, labelled = known[-1][0], labels.found()
    found = Counted(rows, len(bad_rows), unique.count, counts, labelled, sample, *of_words, every == 1, reused)
    return found if found.exact else _of_all(found, split.rows_about, settings.limit, known)


def _of_all(found: Counted, about: int, limit: int | None, known: list[tuple[int, int]]) -> Counted:
    """What all rows have, by what some of them do; unique texts go on growing as they did in the second half."""
    share = min(about, limit or about) / max(1, found.rows + found.rejected)
    half = next(pair for pair in known if 2 * pair[0] >= found.rows)
    grown = math.log(found.texts / half[1]) / math.log(found.rows / half[0]) if found.rows > half[0] else 1.0
    more = share ** min(grown, 1.0)
    return found._replace(
        rows=_rounded(found.rows * share),
        rejected=_rounded(found.rejected * share),
        texts=_rounded(found.texts * more),
        reused=_rounded(found.reused * more),
        counts={name: _rounded(count * more) for name, count in found.counts.items()},
        words_about=_rounded(found.words_about * share**GROWTH),
    )


def _rounded(number: float) -> int:
    return int(float(f"{number:.3g}"))
