"""What a job would cost: rows, unique texts, masked words, bytes, and time from a short measurement. Writes nothing."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from augment.candidate_table import to_arrow
from augment.running import RunningDrawer
from augment.sites import find_sites
from augment.text_numbers import text_id
from augment.variants import draw_from_table, draw_variants
from pipelines.augmenting.models import load_finder
from pipelines.augmenting.plan import MOST_PARTS, rows_of_example, usual_part_tokens
from pipelines.augmenting.request import AugmentRequest, check_inputs, identity_of
from pipelines.augmenting.snapshot import UniqueTexts
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
    rows, texts, counts, labels, sample = _count(checked.opened, job, finder)
    reporter.message("measuring on a few texts")
    measured = _measure(finder, job, sample)
    draw, label, width = identity.settings.draw, job.task.label, len(job.task.text_columns)
    output_rows = rows * rows_of_example(draw, width)
    compute = identity.settings.compute
    part_tokens = compute.part_tokens or usual_part_tokens(compute.device)
    workers = worker_count(request.engine, max(1, min(MOST_PARTS, counts["mlm_tokens"] // part_tokens)))
    finding = _tokens(counts["mlm_tokens"], job) / measured.tokens_per_second
    return Estimate(
        rows,
        len(checked.bad_rows),
        texts,
        counts,
        output_rows,
        output_rows * width * measured.bytes_per_row,
        0.0 if job.running else texts * measured.bytes_per_text,
        workers,
        (finding + output_rows * width * measured.seconds_per_row) / workers,
        measured.tokens_per_second,
        label_words(label, {"train": labels}),
    )


class _Counted(NamedTuple):
    rows: int
    texts: int
    counts: dict[str, int]
    labels: list[float]
    sample: list[tuple[str, str]]


class _Measured(NamedTuple):
    tokens_per_second: float
    seconds_per_row: float
    bytes_per_row: float
    bytes_per_text: float


def _count(opened: OpenTask, job: Job, finder: CandidateFinder) -> _Counted:
    """Rows, unique texts, counts over these, labels, and a sample of texts and partners spread over the input."""
    settings = job.identity.settings
    unique = UniqueTexts(job.task.text_columns, job.with_partner, settings.candidates.mask_spacing)
    labels, counts, rows, every = LabelCounter(job.task.label), Counter[str](), 0, 1
    sample: list[tuple[str, str]] = []
    for batch in opened.split("train").batches(limit=settings.limit):
        labels.add(batch)
        seen, (_, new) = unique.count, unique.add(batch)
        texts = new.column("text").to_pylist()
        partners = new.column("partner").to_pylist() if job.with_partner else texts
        counts.update(finder.count(texts, partners))
        sample += [pair for place, pair in enumerate(zip(texts, partners, strict=True), seen) if place % every == 0]
        while len(sample) > 2 * SAMPLED_TEXTS:  # how many there will be is not known yet
            sample, every = sample[::2], 2 * every
        rows += batch.num_rows
    sample = sample[:: max(1, -(-len(sample) // SAMPLED_TEXTS))]
    return _Counted(rows, unique.count, counts, labels.found(), sample)


def _measure(finder: CandidateFinder, job: Job, sample: list[tuple[str, str]]) -> _Measured:
    draw, size, seconds = job.identity.settings.draw, 4, 0.0
    while size == 4 or (seconds < MEASURED_SECONDS / 3 and size // 2 < len(sample)):  # more texts till the time tells
        texts, partners = ([pair[place] for pair in sample[:size]] for place in (0, 1))
        start = time.perf_counter()
        candidates = finder.find(texts, partners)
        sites, numbers = find_sites(candidates, job.running), np.arange(len(texts))
        drawing = time.perf_counter()
        drawer = RunningDrawer(finder, candidates, partners) if job.running else draw_from_table
        batch = draw_variants(sites, numbers, numbers[:, None], ["text"], draw, drawer=drawer)
        seconds = (time.perf_counter() if job.running else drawing) - start
        written = pa.table({"text": batch.texts[0], "edits": batch.edits})
        output = _bytes(written)
        drawing = time.perf_counter() - drawing
        size *= 2
    tokens = _tokens(finder.count(texts, partners)["mlm_tokens"], job)
    stored = _bytes(to_arrow(candidates, [text_id(text) for text in texts]))
    rows = max(written.num_rows, 1)
    return _Measured(max(tokens, 1) / max(seconds, 1e-6), drawing / rows, output / rows, stored / len(texts))


def _tokens(of_table: int, job: Job) -> float:
    """Tokens that the masked LM reads where a table of candidates would take so many."""
    draw = job.identity.settings.draw
    return of_table * (draw.n * draw.p if job.running else 1.0)


def _bytes(table: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    with open_writer(sink, table.schema) as writer:
        writer.write_table(table)
    return int(sink.tell())
