"""`tinyaug augment`: checks, input snapshot, candidates, variants, manifests (design sections 1-6)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.augmenting.candidates import CandidateWorker
from pipelines.augmenting.card import write_card
from pipelines.augmenting.flat_parts import FEW_REPEATS
from pipelines.augmenting.neighbours import neighbour_stages
from pipelines.augmenting.plan import shard_bounds
from pipelines.augmenting.request import AugmentRequest, Checked, ResampleRequest, asked_run, check_inputs, identity_of
from pipelines.augmenting.run_file import RunFile, read_run, refuse_other
from pipelines.augmenting.snapshot import ROWS, TEXTS, Snapshot, read_snapshot, write_snapshot
from pipelines.augmenting.stage_run import REJECTED, StageRun, StageState, write_manifest, write_rejected
from pipelines.augmenting.stages import AUGMENTED, CANDIDATES, Job, Stage
from pipelines.augmenting.variants import VariantWorker
from pipelines.classes.numbers import check_counts
from pipelines.reusing.earlier_run import drop_previous, recorded_run, set_aside
from pipelines.reusing.read_ahead import InputRows, drop_begun, read_ahead
from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.records import merge_counts
from pipelines.run_folder.run_file import AUGMENT, started_run, undone_if_refused
from pipelines.run_folder.storage import Storage
from pipelines.tasks.label_counts import label_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.found import Found
    from pipelines.reporting import Reporter
    from pipelines.run_folder.identity import Versions
    from pipelines.run_folder.lock import WriterLock
    from pipelines.run_folder.records import Record

FINISHED = (f"{CANDIDATES}/records", f"{AUGMENTED}/records", "teacher", "student")  # nobody's mistake deletes them


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Args:
        storage: the run directory.
        job: the job.
        snapshot: the input.
        candidates: counts of the candidate stage; empty where no table is stored.
        augmented: counts of the augmented shards.
        rows, bytes: of the augmented shards.
        rejected: rows in rejected.parquet.
        fresh: parts made by this command; 0 if all was done before.
        protected: entry of `--protect` -> words that it kept.
    """

    storage: Storage
    job: Job
    snapshot: Snapshot
    candidates: dict[str, int]
    augmented: dict[str, int]
    rows: int
    bytes: int
    rejected: int
    fresh: int
    protected: dict[str, int]


def run_augment(request: AugmentRequest, reporter: Reporter, found: Found) -> Outcome:
    """Augments a task, going on where an earlier run of the same command stopped.

    Args:
        request: what the user asked for.
        reporter: is told of progress.
        found: what the command has found already.

    Returns:
        What came of it.

    Raises:
        UserError: a mistake of the user's; nothing was begun.
        JobError: parts failed; the others are kept.
    """
    storage = Storage(request.out)
    started_run(storage, AUGMENT)
    with only_writer(storage, reporter.message) as lock:
        checked = check_inputs(request, reporter, found)
        rows: InputRows = partial(_input_rows, checked, reporter)
        job_of = partial(_job, request, checked, storage)
        if request.overwrite:
            rows = read_ahead(job_of(asked_run(request, checked, None, None)), rows)
        reuse = set_aside(request, partial(identity_of, request, checked), reporter.message)
        outcome = carry_out(request, partial(asked_run, request, checked, reuse), job_of, rows, reporter, lock)
        drop_previous(storage)
        drop_begun(storage)
        return outcome


def _input_rows(checked: Checked, reporter: Reporter, job: Job, snapshot: Snapshot | None) -> Snapshot:
    """Reads the input unless that was done, and says what classes there are."""
    if snapshot is None:
        reporter.message("reading the input")
        snapshot = write_snapshot(job, checked.opened, checked.bad_rows)
    check_counts(job.identity.settings, job.task, snapshot.labels)
    lines, warnings = label_words(job.task.label, {"train": snapshot.labels})
    for line in (*lines, *(f"warning: {warning}" for warning in warnings)):
        reporter.message(line)
    return snapshot


def is_augmented(request: AugmentRequest, reporter: Reporter, found: Found) -> bool:
    """Whether an earlier run of the same command left nothing to do; writes nothing.

    Args:
        request: what the user asked for.
        reporter: is told while vectors are converted.
        found: what the command has found already.

    Raises:
        UserError: the directory was begun with other settings.
    """
    storage = Storage(request.out)
    started = None if request.overwrite else read_run(storage)
    if started is None:
        return False
    checked = check_inputs(request, reporter, found)
    job = _job(request, checked, storage, started)
    done = all_done(stage_states(job, read_snapshot(storage), request.verify))
    refuse_other(storage, started, partial(asked_run, request, checked, None), done)
    return done


def carry_out(
    request: AugmentRequest | ResampleRequest,
    asked: Callable[[Versions | None], RunFile],
    job_of: Callable[[RunFile], Job],
    input_rows: InputRows,
    reporter: Reporter,
    lock: WriterLock,
) -> Outcome:
    """Starts a run or goes on with it.

    Args:
        request: overwrite, verify and engine are read.
        asked: what run.json would say now; is given the versions where they need not be found out.
        job_of: a run as its workers see it.
        input_rows: writes the snapshot unless it is given one.
        reporter: is told of progress.
        lock: the run directory's; is checked after each part.

    Returns:
        What came of it.

    Raises:
        UserError: the run was started with other settings, or workers found a mistake of the user's.
        JobError: parts failed, or the lock was lost; what was finished is kept.
    """
    storage = Storage(request.out)
    if request.overwrite:
        storage.remove_all()
    started = read_run(storage)
    run = started or asked(None)
    job = job_of(run)
    snapshot = read_snapshot(Storage(job.source))
    states = stage_states(job, snapshot, request.verify)
    if started is not None:
        refuse_other(storage, started, asked, all_done(states))
    with undone_if_refused(storage, started is None or snapshot is None, FINISHED):
        if started is None:
            run.write(storage)
        known = input_rows(job, snapshot)
        states = states or stage_states(job, known, request.verify)
        return _finish(job, known, states, request, reporter, lock)


def stages(job: Job, snapshot: Snapshot) -> list[Stage]:
    """The stages of a job: neighbours and candidates, unless they are stored elsewhere or not at all, and shards.

    Args:
        job: the job.
        snapshot: its input.
    """
    settings, running = job.identity.settings, job.running
    candidates = Stage(
        CANDIDATES,
        job,
        "part",
        TEXTS,
        snapshot.text_bounds,
        job.candidates_hash,
        computes=True,
        protect=settings.candidates.protect,
        worker=CandidateWorker,
    )
    augmented = Stage(
        AUGMENTED,
        job,
        "train",
        ROWS,
        shard_bounds(snapshot.rows, settings.shard_rows),
        job.identity.augmented_hash,
        computes=running,
        protect=settings.candidates.protect if running else settings.protect_more,
        worker=partial(VariantWorker, snapshot.text_bounds, snapshot.repeats(job.task.text_columns) > FEW_REPEATS),
    )
    found_here = [*neighbour_stages(job, snapshot), *(() if running else [candidates])]
    return [*(found_here if job.root == job.source else ()), augmented]


def stage_states(job: Job, snapshot: Snapshot | None, verify: bool = False) -> list[StageState]:
    """How far the stages of a job are.

    Args:
        job: the job.
        snapshot: its input; None where that has not been read.
        verify: compare hashes, not sizes alone.

    Returns:
        One for each stage, in order; none before the input has been read.
    """
    storage = Storage(job.root)
    return [StageState.of(storage, stage, verify) for stage in (stages(job, snapshot) if snapshot is not None else ())]


def run_states(storage: Storage, verify: bool = False) -> list[StageState]:
    """The same of a run directory.

    Args:
        storage: the directory.
        verify: compare hashes, not sizes alone.

    Raises:
        UserError: the directory holds something else.
    """
    run = read_run(storage)
    if run is None:
        return []
    source = run.resampled_from or storage.root
    job = Job(storage.root, source, run.identity, run.candidates_hash)
    return stage_states(job, read_snapshot(Storage(source)), verify)


def all_done(states: list[StageState]) -> bool:
    """Whether nothing is left to make."""
    return bool(states) and not any(state.left for state in states)


def _finish(
    job: Job,
    snapshot: Snapshot,
    states: list[StageState],
    request: AugmentRequest | ResampleRequest,
    reporter: Reporter,
    lock: WriterLock,
) -> Outcome:
    """Runs what is left of a job's stages and writes what is merged from them."""
    storage = Storage(job.root)
    made: dict[str, list[Record]] = {}
    protected: dict[str, int] = {}
    runs = [StageRun(storage, state, request.engine, reporter, lock) for state in states]
    for state, run, after in zip(states, runs, [*runs[1:], None], strict=True):
        records = made[state.stage.name] = run.run(after)
        write_manifest(storage, state.stage, records, snapshot.file_rows)
        protected |= state.stage.protected(records)
    drawn, fresh = made[AUGMENTED], sum(len(state.left) for state in states)
    rejects = [*snapshot.rejects, *(reject for record in drawn for reject in record.rejects)]
    if fresh or (rejects and storage.size(REJECTED) is None):
        write_rejected(storage, rejects)
    if fresh or storage.size(f"{AUGMENTED}/README.md") is None:
        write_card(storage, job, drawn)
    return Outcome(
        storage,
        job,
        snapshot,
        merge_counts(record.counts for record in made.get(CANDIDATES, ())),
        merge_counts(record.counts for record in drawn),
        sum(record.rows for record in drawn),
        sum(record.bytes for record in drawn),
        len(rejects),
        fresh,
        protected,
    )


def _job(request: AugmentRequest, checked: Checked, storage: Storage, run: RunFile) -> Job:
    """A run for its workers, who may be in other directories."""
    mlm, glove = (_absolute(name) if name is not None else None for name in (request.mlm, request.glove))
    names, reuse = (mlm, checked.model.revision, glove), recorded_run(storage, run)
    return Job(storage.root, storage.root, run.identity, run.candidates_hash, *names, reuse)


def _absolute(name: str) -> str:
    """Paths as workers in other directories can open them; names as they are."""
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name
