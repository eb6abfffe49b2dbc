"""What a job would cost: rows, unique texts, masked words, bytes, and time from a short measurement. Writes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from augment.candidate_table import to_arrow
from augment.running import RunningDrawer
from augment.sites import find_sites
from augment.text_numbers import text_id
from augment.variants import draw_from_table, draw_variants
from pipelines.augmenting.counting import count_work
from pipelines.augmenting.distinct_words import word_bounds
from pipelines.augmenting.models import load_finder
from pipelines.augmenting.neighbours import NeighbourWorker
from pipelines.augmenting.plan import MOST_PARTS, usual_part_tokens
from pipelines.augmenting.request import AugmentRequest, check_inputs, identity_of
from pipelines.augmenting.stages import Job, Tally
from pipelines.classes.numbers import expected_rows
from pipelines.engines import worker_count
from pipelines.reusing.earlier_run import chosen_run
from pipelines.reusing.known_texts import KnownTexts
from pipelines.run_folder.parquet import open_writer
from pipelines.tasks.custom_files import custom_files
from pipelines.tasks.label_counts import label_words
from pipelines.tasks.readers.source import sampling

if TYPE_CHECKING:
    from augment.candidates import Asked, CandidateFinder
    from pipelines.augmenting.counting import Counted
    from pipelines.engines import EngineSettings
    from pipelines.found import Found
    from pipelines.reporting import Reporter

MEASURED_SECONDS = 6.0
SAMPLED_WORDS = 2048


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
        tokens_per_second: measured, of one worker: of the slower one of host and device, where the two overlap.
        words: distinct words whose neighbours are looked for, those of one piece included.
        neighbour_seconds: what looking for them takes of `seconds`.
        labels: the classes with their rows, in words, and what looks wrong about them.
        exact: whether all rows were counted, not a sample of them.
        reused: unique texts whose candidates an earlier run has; what is counted of words is of the others.
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
    words: int
    neighbour_seconds: float
    labels: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    exact: bool = True
    reused: int = 0


def estimate(request: AugmentRequest, reporter: Reporter, found: Found) -> Estimate:
    """Counts the work, of large inputs on rows spread over them, and measures its speed on a few texts.

    Args:
        request: what the user asked for.
        reporter: is told what is being done.
        found: what the command has found already.

    Returns:
        The estimate.

    Raises:
        UserError, AugmentError, VectorsError: something that cannot be used.
    """
    checked = check_inputs(_sampling(request), reporter, found)
    identity = identity_of(request, checked)
    job = Job(request.out, request.out, identity, "", request.mlm, checked.model.revision, request.glove)
    reporter.message("loading the masked LM")
    finder = load_finder(job, found)
    reporter.message("counting words")
    earlier = chosen_run(request, lambda: identity, reporter.message)
    known = KnownTexts(earlier) if earlier is not None else None
    counted = count_work(checked.opened, job, finder, checked.bad_rows, known)
    rows, texts, counts = counted.rows, counted.texts, counted.counts
    reporter.message("measuring on a few texts")
    looking_up = _neighbour_seconds(job, counted, request.engine, found)
    measured = _measure(finder, job, counted.sample)
    label, width = job.task.label, len(job.task.text_columns)
    output_rows = expected_rows(identity.settings, job.task, counted.labels, rows)
    compute = identity.settings.compute
    part_tokens = compute.part_tokens or usual_part_tokens(compute.device)
    workers = worker_count(request.engine, max(1, min(MOST_PARTS, counts["mlm_tokens"] // part_tokens)))
    finding = _tokens(counts["mlm_tokens"], job) / measured.tokens_per_second
    return Estimate(
        rows,
        counted.rejected,
        texts,
        counts,
        output_rows,
        output_rows * width * measured.bytes_per_row,
        0.0 if job.running else texts * measured.bytes_per_text,
        workers,
        looking_up + (finding + output_rows * width * measured.seconds_per_row) / workers,
        measured.tokens_per_second,
        counted.words_about,
        looking_up,
        label_words(label, {"train": counted.labels}) if counted.exact else label_words(label, {}),
        counted.exact,
        counted.reused,
    )


def _sampling(request: AugmentRequest) -> AugmentRequest:
    """The same request, of which a large input of the user's own is not even read whole for its classes."""
    if request.custom is None or request.data is None or request.custom.dev_split is not None:
        return request
    every = sampling(custom_files(request.data).get("train", ()), request.settings.limit)
    return replace(request, custom=replace(request.custom, every=every))


class _Measured(NamedTuple):
    tokens_per_second: float
    seconds_per_row: float
    bytes_per_row: float
    bytes_per_text: float


def _measure(finder: CandidateFinder, job: Job, sample: list[tuple[str, str]]) -> _Measured:
    """Times the steps of a job on more and more texts, till the time tells and two batches are full."""
    draw, size, least = job.identity.settings.draw, 4, 2 * finder.batch_tokens
    spent, tokens = _Spent(0.0, 0.0, 0.0), 0.0
    while size == 4 or ((spent.finding < MEASURED_SECONDS / 3 or tokens < least) and size // 2 < len(sample)):
        texts, partners = ([pair[place] for pair in sample[:size]] for place in (0, 1))
        tokens = _tokens(finder.count(texts, partners)["mlm_tokens"], job)
        if size == 4:
            finder.find(texts, partners)  # allocates, loads kernels
        clock = [time.perf_counter()]
        asked = finder.prepare(texts, partners)
        finder.similar.of(_several_pieces(asked))  # found once a job, and timed apart
        clock.append(time.perf_counter())
        asked = finder.prepare(texts, partners)
        clock.append(time.perf_counter())
        proposals = finder.propose(asked)
        clock.append(time.perf_counter())
        candidates = finder.assemble(asked, proposals)
        stored = _bytes(to_arrow(candidates, [text_id(text) for text in texts]))
        clock.append(time.perf_counter())
        sites, numbers = find_sites(candidates, job.running), np.arange(len(texts))
        drawer = RunningDrawer(finder, candidates, partners) if job.running else draw_from_table
        batch = draw_variants(sites, numbers, numbers[:, None], ["text"], draw, drawer=drawer)
        written = pa.table({"text": batch.texts[0], "edits": batch.edits})
        output = _bytes(written)
        clock.append(time.perf_counter())
        _, preparing, proposing, assembling, drawing = np.diff(clock).tolist()
        spent = _Spent(preparing + assembling, proposing, drawing, finder.model.device.type != "cpu", job.running)
        size *= 2
    rows = max(written.num_rows, 1)
    return _Measured(
        max(tokens, 1) / max(spent.finding, 1e-6), 0.0 if job.running else spent.drawing / rows, output / rows,
        stored / len(texts),
    )  # fmt: skip


class _Spent(NamedTuple):
    """Seconds of one round.

    Attributes:
        host: splitting, looking up, assembling and packing.
        device: proposing.
        drawing: and writing.
        overlaps: whether device and host work at the same time.
        running: whether the masked LM runs while variants are drawn.
    """

    host: float
    device: float
    drawing: float
    overlaps: bool = False
    running: bool = False

    @property
    def finding(self) -> float:
        """Seconds that the tokens of the masked LM take."""
        if self.running:
            return self.host + self.device + self.drawing
        return max(self.host, self.device) if self.overlaps else self.host + self.device


def _several_pieces(asked: Asked) -> list[str]:
    return asked.words.spellings(asked.free[~asked.words.single_piece[asked.free]])


def _neighbour_seconds(job: Job, counted: Counted, engine: EngineSettings, found: Found) -> float:
    """What the neighbours of all words take, as the stage that finds them, or else each worker, would do it."""
    words = counted.words
    if not words.num_rows:
        return 0.0
    parts = max(len(word_bounds(counted.words_about)) - 1, 0)
    worker, tally = NeighbourWorker(parts == 1, job, words.schema, found), Tally()
    sample = words.take(np.arange(0, words.num_rows, max(1, words.num_rows // SAMPLED_WORDS)))
    start = time.perf_counter()
    list(worker.tables(iter([sample]), tally))
    seconds = (time.perf_counter() - start) * counted.words_about / sample.num_rows
    return seconds / worker_count(engine, max(parts, 1))


def _tokens(of_table: int, job: Job) -> float:
    """Tokens that the masked LM reads where a table of candidates would take so many."""
    draw = job.identity.settings.draw
    return of_table * (draw.n * draw.p if job.running else 1.0)


def _bytes(table: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    with open_writer(sink, table.schema) as writer:
        writer.write_table(table)
    return int(sink.tell())
