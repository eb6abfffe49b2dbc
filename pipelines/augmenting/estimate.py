"""What a job would cost: rows, unique texts, masked words, bytes, and time from a short measurement. Writes nothing."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from augment.candidate_table import to_arrow
from augment.running import RunningDrawer
from augment.sites import find_sites
from augment.variants import draw_variants
from pipelines.augmenting.models import load_finder
from pipelines.augmenting.numbering import TextNumbers
from pipelines.augmenting.plan import MOST_PARTS, PART_COST, rows_of_example, text_id
from pipelines.augmenting.request import AugmentRequest, check_inputs, identity_of
from pipelines.augmenting.snapshot import ids_of
from pipelines.augmenting.stages import Job
from pipelines.engines import worker_count
from pipelines.run_folder.parquet import open_writer
from pipelines.tasks.label_counts import LabelCounter, label_words

if TYPE_CHECKING:
    from augment.candidates import CandidateFinder
    from pipelines.found import Found
    from pipelines.reporting import Reporter
    from pipelines.tasks import OpenTask

SAMPLED_TEXTS, MEASURED_SECONDS = 192, 6.0


@dataclass(frozen=True)
class Estimate:
    """What a job would cost.

    Args:
        rows: good rows of the input, at most the limit.
        rejected: bad rows, with `--on-bad-row skip`.
        texts: unique texts.
        counts: words, masked words, masked copies and their tokens.
        output_rows: rows with the originals.
        output_bytes: of the augmented shards.
        candidate_bytes: of the stored candidates.
        workers: that would run at once here.
        seconds: of the whole job with that many workers.
        tokens_per_second: measured, of one worker.
        labels: the classes with their rows, in words, and what looks wrong about them.
    """

    rows: int
    rejected: int
    texts: int
    counts: dict[str, int]
    output_rows: int
    output_bytes: float
    candidate_bytes: float
    workers: int
    seconds: float
    tokens_per_second: float
    labels: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


def estimate(request: AugmentRequest, reporter: Reporter, found: Found) -> Estimate:
    """Counts the work exactly and measures its speed on a sample.

    Args:
        request: what the user asked for.
        reporter: is told what is being done.
        found: what the command has found already.

    Returns:
        The estimate.

    Raises:
        UserError, AugmentError, VectorsError: something that cannot be used.
    """
    checked = check_inputs(request, reporter, found)
    identity = identity_of(request, checked)
    job = Job(request.out, request.out, identity, "", request.mlm, checked.model.revision, request.glove)
    reporter.message("loading the masked LM")
    finder = load_finder(job, found)
    reporter.message("counting words")
    counted = _count(checked.opened, request, finder, job.with_partner)
    reporter.message("measuring on a few texts")
    measured = _measure(finder, job, counted.sample)
    draw = request.settings.draw
    width = len(job.task.text_columns)
    parts = max(1, min(MOST_PARTS, counted.counts["mlm_tokens"] // PART_COST))
    workers = worker_count(request.engine, parts)
    tokens = counted.counts["mlm_tokens"] * (draw.n * draw.p if job.running else 1.0)
    output_rows = counted.rows * rows_of_example(draw, width)
    return Estimate(
        counted.rows,
        len(checked.rejects),
        counted.texts,
        counted.counts,
        output_rows,
        output_rows * width * measured.bytes_per_row,
        0.0 if job.running else counted.texts * measured.bytes_per_text,
        workers,
        (tokens / measured.tokens_per_second + output_rows * width * measured.seconds_per_row) / workers,
        measured.tokens_per_second,
        label_words(job.task.label, {"train": counted.labels}),
    )


@dataclass(frozen=True)
class _Measured:
    tokens_per_second: float
    seconds_per_row: float
    bytes_per_row: float
    bytes_per_text: float


@dataclass(frozen=True)
class _Counted:
    rows: int
    texts: int
    counts: dict[str, int]
    sample: list[tuple[str, str]]
    labels: list[float]


def _count(opened: OpenTask, request: AugmentRequest, finder: CandidateFinder, with_partner: bool) -> _Counted:
    """Rows, unique texts, counts over these, and a sample of texts and partners spread over the input."""
    numbers, labels, rows, every = TextNumbers(), LabelCounter(opened.task.label), 0, 1
    counts: dict[str, int] = {}
    sample: list[tuple[str, str]] = []
    for batch in opened.split("train").batches(limit=request.settings.limit):
        labels.add(batch)
        seen = numbers.count
        _, firsts = numbers.add(ids_of(batch, opened.task, with_partner))
        new = _new_texts(batch, opened.task.text_columns, firsts)
        for name, count in finder.count([text for text, _ in new], [other for _, other in new]).items():
            counts[name] = counts.get(name, 0) + count
        sample += [pair for place, pair in enumerate(new, start=seen) if place % every == 0]
        while len(sample) > 2 * SAMPLED_TEXTS:  # how many there will be is not known yet
            sample, every = sample[::2], 2 * every
        rows += batch.num_rows
    sample = sample[:: max(1, -(-len(sample) // SAMPLED_TEXTS))]
    return _Counted(rows, numbers.count, counts, sample, labels.found())


def _new_texts(batch: pa.RecordBatch, names: tuple[str, ...], firsts: np.ndarray) -> list[tuple[str, str]]:
    """Texts that occur for the first time, with their partners."""
    columns = [batch.column(name).to_pylist() for name in names]
    pairs = [
        (text, texts[(place + 1) % len(texts)])
        for texts in zip(*columns, strict=True)
        for place, text in enumerate(texts)
    ]
    return [pairs[place] for place in np.flatnonzero(firsts)]


def _measure(finder: CandidateFinder, job: Job, sample: list[tuple[str, str]]) -> _Measured:
    texts, partners = [text for text, _ in sample], [other for _, other in sample]
    settings = job.identity.settings
    size, seconds, tokens = 4, 0.0, 0
    while size == 4 or (seconds < MEASURED_SECONDS / 3 and size // 2 < len(texts)):  # more texts till the time tells
        part, others = texts[:size], partners[:size]
        start = time.perf_counter()
        candidates = finder.find(part, others)
        sites = find_sites(candidates, job.running)
        drawing = time.perf_counter()
        numbers = np.arange(len(part))
        drawn = (sites, numbers, numbers[:, None], ["text"], settings.draw)
        if job.running:
            batch = draw_variants(*drawn, drawer=RunningDrawer(finder, candidates, others))
            seconds = time.perf_counter() - start
            tokens = round(finder.count(part, others)["mlm_tokens"] * settings.draw.n * settings.draw.p)
        else:
            batch = draw_variants(*drawn)
            seconds, tokens = drawing - start, candidates.counts["mlm_tokens"]
        written = pa.table({"text": batch.texts[0], "edits": batch.edits})
        output = _bytes(written)
        drawing = time.perf_counter() - drawing
        size *= 2
    stored = _bytes(to_arrow(candidates, [text_id(text) for text in part]))
    rows = max(written.num_rows, 1)
    return _Measured(max(tokens, 1) / max(seconds, 1e-6), drawing / rows, output / rows, stored / len(part))


def _bytes(table: pa.Table) -> int:
    sink = io.BytesIO()
    with open_writer(sink, table.schema) as writer:
        writer.write_table(table)
    return len(sink.getvalue())
