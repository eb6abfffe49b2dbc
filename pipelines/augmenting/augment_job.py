"""`tinyaug augment`: checks, input snapshot, candidates, variants, manifests (design sections 1-6)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.augmenting.card import write_card
from pipelines.augmenting.plan import shard_bounds
from pipelines.augmenting.request import AugmentRequest, Checked, check_inputs, identity_of
from pipelines.augmenting.snapshot import Snapshot, read_snapshot, write_snapshot
from pipelines.augmenting.stage_run import finished_records, run_stage, write_manifest, write_rejected
from pipelines.augmenting.stages import AUGMENTED, CANDIDATES, Job, Stage
from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.records import Record, ShardNames, merge_counts
from pipelines.run_folder.run_file import RunFile, begin, read_run, refuse_other_settings, undone_if_refused, write_run
from pipelines.run_folder.storage import Storage
from pipelines.tasks.label_counts import label_words

if TYPE_CHECKING:
    from pipelines.augmenting.settings import Identity
    from pipelines.engines import EngineSettings
    from pipelines.found import Found
    from pipelines.reporting import Reporter
    from pipelines.run_folder.lock import WriterLock

Finished = dict[str, dict[int, Record]]
RECORDS = (f"{CANDIDATES}/records", f"{AUGMENTED}/records")


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
    started = begin(storage, request.overwrite, reporter.message)
    checked = check_inputs(request, reporter, found)
    identity = identity_of(request, checked)
    with only_writer(storage, reporter.message) as lock:
        if request.overwrite:
            storage.remove_all()
        job = _job(request, checked, storage, started.identity if started else identity)
        snapshot = read_snapshot(storage)
        finished = finished_parts(storage, job, snapshot, request.verify) if snapshot is not None else None
        if started is not None:
            unfinished = snapshot is None or finished is None or parts_left(job, snapshot, finished) > 0
            refuse_other_settings(storage, started.identity, identity, unfinished)
        with undone_if_refused(storage, started is None or snapshot is None, RECORDS):
            if started is None:
                write_run(storage, RunFile(identity, _sources(request, checked), identity.candidates_hash))
            if snapshot is None or finished is None:
                snapshot = _take_snapshot(storage, job, checked, request, reporter)
                finished = finished_parts(storage, job, snapshot, request.verify)
            _say_classes(job, snapshot, reporter)
            return finish_job(storage, job, snapshot, request.engine, finished, reporter, lock)


def _say_classes(job: Job, snapshot: Snapshot, reporter: Reporter) -> None:
    lines, warnings = label_words(job.task.label, {"train": snapshot.labels})
    for line in lines:
        reporter.message(line)
    for warning in warnings:
        reporter.message(f"warning: {warning}")


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
    job, snapshot = _job(request, checked, storage, started.identity), read_snapshot(storage)
    left = snapshot is None or parts_left(job, snapshot, finished_parts(storage, job, snapshot, request.verify)) > 0
    refuse_other_settings(storage, started.identity, identity_of(request, checked), left)
    return not left


def stages(job: Job, snapshot: Snapshot) -> tuple[Stage | None, Stage]:
    """The stages of a job: candidates (None where no table is stored) and augmented shards.

    Args:
        job: the job.
        snapshot: its input.
    """
    shards = len(shard_bounds(snapshot.rows, job.identity.settings.shard_rows)) - 1
    augmented = Stage(AUGMENTED, job, ShardNames(AUGMENTED, "train", shards), job.identity.augmented_hash)
    if job.running or job.root != job.source:
        return None, augmented
    parts = ShardNames(CANDIDATES, "part", len(snapshot.text_bounds) - 1)
    return Stage(CANDIDATES, job, parts, job.candidates_hash), augmented


def finished_parts(storage: Storage, job: Job, snapshot: Snapshot, verify: bool) -> Finished:
    """What is finished and intact of each stage.

    Args:
        storage: the run directory.
        job: the job.
        snapshot: its input.
        verify: compare hashes, not sizes alone.

    Returns:
        Stage -> part -> its record.
    """
    return {
        stage.name: finished_records(storage, stage, verify) for stage in stages(job, snapshot) if stage is not None
    }


def parts_left(job: Job, snapshot: Snapshot, finished: Finished) -> int:
    """How many parts of a job's stages are left to make.

    Args:
        job: the job.
        snapshot: its input.
        finished: what `finished_parts` found.
    """
    return sum(stage.names.parts - len(finished[stage.name]) for stage in stages(job, snapshot) if stage is not None)


def finish_job(
    storage: Storage,
    job: Job,
    snapshot: Snapshot,
    engine: EngineSettings,
    finished: Finished,
    reporter: Reporter,
    lock: WriterLock,
) -> Outcome:
    """Runs what is left of a job's stages and writes what is merged from them.

    Args:
        storage: the run directory.
        job: the job.
        snapshot: its input.
        engine: how to run.
        finished: what need not be made.
        reporter: is told of progress.
        lock: is checked after each part.

    Returns:
        What came of it.

    Raises:
        JobError: parts failed, or the lock was lost; what was finished is kept.
    """
    first, second = stages(job, snapshot)
    found: list[Record] = []
    fresh = parts_left(job, snapshot, finished)
    if first is not None:
        cost = dict.fromkeys(range(first.names.parts), 1.0)  # they were cut to cost the same
        found = run_stage(storage, first, finished[first.name], engine, cost, reporter, lock)
        write_manifest(storage, first, found, snapshot.file_rows)
    bounds = shard_bounds(snapshot.rows, job.identity.settings.shard_rows)
    cost = {part: float(bounds[part + 1] - bounds[part]) for part in range(second.names.parts)}
    engine = engine if job.running else replace(engine, gpu=False)
    drawn = run_stage(storage, second, finished[second.name], engine, cost, reporter, lock)
    write_manifest(storage, second, drawn, snapshot.file_rows)
    rejects = [*snapshot.rejects, *(reject for record in drawn for reject in record.rejects)]
    if fresh or (rejects and storage.size("rejected.parquet") is None):
        write_rejected(storage, rejects)
    if fresh or storage.size("augmented/README.md") is None:
        write_card(storage, job, second, drawn)
    return Outcome(
        storage,
        job,
        snapshot,
        merge_counts(found),
        merge_counts(drawn),
        sum(record.rows for record in drawn),
        sum(record.bytes for record in drawn),
        len(rejects),
        fresh,
        {**(first.protected(found) if first is not None else {}), **second.protected(drawn)},
    )


def _job(request: AugmentRequest, checked: Checked, storage: Storage, identity: Identity) -> Job:
    local = Path(request.mlm).expanduser()
    return Job(
        storage.root,
        storage.root,
        identity,
        str(local.absolute()) if local.is_dir() else request.mlm,
        checked.model.revision,
        _absolute(request.glove),
        identity.candidates_hash,
    )


def _absolute(name: str | None) -> str | None:
    """Paths as workers in other directories can open them; names as they are."""
    path = Path(name).expanduser() if name is not None else None
    return str(path.absolute()) if path is not None and path.exists() else name


def _sources(request: AugmentRequest, checked: Checked) -> dict[str, Any]:
    return {
        "task": request.task,
        "data": str(request.data) if request.data is not None else None,
        "data_revision": checked.opened.revision,
        "mlm": request.mlm,
        "mlm_revision": checked.model.revision,
        "glove": request.glove,
    }


def _take_snapshot(
    storage: Storage, job: Job, checked: Checked, request: AugmentRequest, reporter: Reporter
) -> Snapshot:
    reporter.message("reading the input")
    settings = request.settings
    return write_snapshot(
        storage,
        checked.opened,
        settings.limit,
        checked.rejects,
        job.with_partner,
        settings.candidates.mask_spacing,
    )
