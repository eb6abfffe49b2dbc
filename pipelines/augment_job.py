"""`tinyaug augment`: checks, input snapshot, candidates, variants, manifests (design sections 1-6)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.card import write_card
from pipelines.errors import UserError
from pipelines.job import AUGMENTED, CANDIDATES, Job, Stage
from pipelines.lock import only_writer
from pipelines.plan import shard_bounds
from pipelines.records import Record, ShardNames, merge_counts
from pipelines.request import AugmentRequest, Checked, check_inputs, identity_of
from pipelines.run_file import RunFile, read_run, refuse_other_settings, refuse_to_overwrite_others, write_run
from pipelines.snapshot import Snapshot, read_snapshot, write_snapshot
from pipelines.stage_run import finished_records, run_stage, write_rejected
from pipelines.storage import Storage

if TYPE_CHECKING:
    from pipelines.engines import EngineSettings
    from pipelines.reporting import Reporter
    from pipelines.settings import Identity


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


def run_augment(request: AugmentRequest, reporter: Reporter) -> Outcome:
    """Augments a task, going on where an earlier run of the same command stopped.

    Args:
        request: what the user asked for.
        reporter: is told of progress.

    Returns:
        What came of it.

    Raises:
        UserError: a mistake of the user's; nothing was begun.
        JobError: parts failed; the others are kept.
    """
    storage = Storage(request.out)
    started = None if request.overwrite else read_run(storage)
    checked = check_inputs(request, reporter)
    if request.overwrite:
        refuse_to_overwrite_others(storage)
    identity = identity_of(request, checked, started)
    with only_writer(storage):
        if request.overwrite:
            storage.remove_all()
        storage.clear_partial()
        job = _job(request, checked, storage, started.identity if started else identity)
        if started is not None:
            refuse_other_settings(storage, started.identity, identity, _unfinished(storage, job))
        else:
            write_run(storage, RunFile(identity, _sources(request, checked), identity.candidates_hash))
        snapshot = read_snapshot(storage) or _take_snapshot(storage, job, checked, request, reporter)
        return finish_job(storage, job, snapshot, request.engine, request.verify, reporter)


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


def finish_job(
    storage: Storage, job: Job, snapshot: Snapshot, engine: EngineSettings, check_hashes: bool, reporter: Reporter
) -> Outcome:
    """Runs what is left of a job's stages and writes what is merged from them.

    Args:
        storage: the run directory.
        job: the job.
        snapshot: its input.
        engine: how to run.
        check_hashes: compare hashes of finished shards, not their sizes alone.
        reporter: is told of progress.

    Returns:
        What came of it.

    Raises:
        JobError: parts failed; the others are kept.
    """
    first, second = stages(job, snapshot)
    found: list[Record] = []
    fresh = 0
    if first is not None:
        finished = finished_records(storage, first, check_hashes)
        fresh += first.names.parts - len(finished)
        cost = _costs(snapshot.text_bounds)
        found = run_stage(storage, first, finished, engine, cost, reporter)
    finished = finished_records(storage, second, check_hashes)
    fresh += second.names.parts - len(finished)
    cost = _costs(shard_bounds(snapshot.rows, job.identity.settings.shard_rows))
    engine = engine if job.running else replace(engine, gpu=False)
    drawn = run_stage(storage, second, finished, engine, cost, reporter)
    rejects = [*snapshot.rejects, *(reject for record in drawn for reject in record.rejects)]
    if fresh or (rejects and storage.size("rejected.parquet") is None):
        write_rejected(storage, rejects)
    if fresh or storage.size("augmented/README.md") is None:
        write_card(storage, job, second, drawn)
    storage.clear_partial()  # of workers that were killed
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
    )


def _costs(bounds: list[int]) -> dict[int, float]:
    """Texts or rows of each part: parts were cut to cost the same, so their share stands for it."""
    return {part: float(bounds[part + 1] - bounds[part]) for part in range(len(bounds) - 1)}


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


def _unfinished(storage: Storage, job: Job) -> bool:
    snapshot = read_snapshot(storage)
    if snapshot is None:
        return True
    return any(
        len(finished_records(storage, stage)) < stage.names.parts
        for stage in stages(job, snapshot)
        if stage is not None
    )


def _take_snapshot(
    storage: Storage, job: Job, checked: Checked, request: AugmentRequest, reporter: Reporter
) -> Snapshot:
    reporter.message("reading the input")
    settings = request.settings
    try:
        return write_snapshot(
            storage,
            checked.opened,
            settings.limit,
            checked.rejects,
            job.with_partner,
            settings.candidates.mask_spacing,
        )
    except UserError:
        if not any(storage.names(f"{stage}/records") for stage in (CANDIDATES, AUGMENTED)):
            storage.remove_all()  # nothing was begun: once the mistake is put right, the directory serves again
        raise
