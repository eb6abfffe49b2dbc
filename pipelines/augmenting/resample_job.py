"""`tinyaug resample`: another draw from stored candidates; needs nothing but the run directory they lie in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipelines.augmenting.augment_job import Outcome, finish_job, finished_parts, parts_left
from pipelines.augmenting.request import check_pairs
from pipelines.augmenting.settings import Identity, software_versions
from pipelines.augmenting.snapshot import Snapshot, read_snapshot
from pipelines.augmenting.stage_run import finished_records
from pipelines.augmenting.stages import CANDIDATES, Job, Stage, task_from
from pipelines.engines import EngineSettings
from pipelines.errors import UserError
from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.records import ShardNames
from pipelines.run_folder.run_file import RunFile, begin, existing_run, refuse_other_settings, write_run
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from pipelines.reporting import Reporter


@dataclass(frozen=True)
class ResampleRequest:
    """What the user asked for.

    Args:
        candidates: run directory whose candidates are drawn from.
        out: run directory of the new draw.
        draw: fields of `DrawSettings`; None leaves what the run had.
        drop_leaks: likewise.
        shard_rows: likewise.
        engine: how it is run.
        overwrite: start afresh in a directory that holds a run.
        verify: compare hashes of finished shards.
        protect: words that stay beside those that stayed in the run.
    """

    candidates: str
    out: str
    draw: dict[str, Any] = field(default_factory=dict)
    drop_leaks: bool | None = None
    shard_rows: int | None = None
    engine: EngineSettings = field(default_factory=EngineSettings)
    overwrite: bool = False
    verify: bool = False
    protect: tuple[str, ...] = ()


def run_resample(request: ResampleRequest, reporter: Reporter) -> Outcome:
    """Draws variants from the candidates of another run.

    Args:
        request: what the user asked for.
        reporter: is told of progress.

    Returns:
        What came of it.

    Raises:
        UserError: a run that cannot be drawn from, or other settings than `out` was started with.
        JobError: shards failed.
    """
    source = Storage(request.candidates.rstrip("/").removesuffix("/candidates"))
    storage = Storage(request.out)
    if source.root == storage.root:
        raise UserError(f"--out {request.out}: expected another directory than --candidates, found the same one")
    run, snapshot = _drawable(source)
    identity = _identity(run, request)
    check_pairs(identity.settings, task_from(identity.task), request.draw.get("pairs"))
    started = begin(storage, request.overwrite, reporter.message)
    with only_writer(storage, reporter.message) as lock:
        if request.overwrite:
            storage.remove_all()
        kept = started.identity if started else identity
        job = Job(storage.root, source.root, kept, None, None, None, run.candidates_hash)
        finished = finished_parts(storage, job, snapshot, request.verify)
        if started is not None:
            refuse_other_settings(storage, started.identity, identity, parts_left(job, snapshot, finished) > 0)
        else:
            write_run(storage, RunFile(identity, run.sources, run.candidates_hash, source.root))
        return finish_job(storage, job, snapshot, request.engine, finished, reporter, lock)


def _drawable(source: Storage) -> tuple[RunFile, Snapshot]:
    """The run and the input of a directory whose candidates are complete."""
    run = existing_run(source, "--candidates ")
    if run.resampled_from is not None:
        raise UserError(
            f"--candidates {source.display()}: expected a run with candidates, found one that was drawn from "
            f"{run.resampled_from}; name that one"
        )
    if run.identity.settings.candidates.context == "running":
        raise UserError(
            f"--candidates {source.display()}: expected stored candidates, found a run with context running: its "
            "candidates depend on seed and variant and are not stored; run `tinyaug augment` with another --seed"
        )
    snapshot = read_snapshot(source)
    if snapshot is None:
        raise UserError(
            f"--candidates {source.display()}: expected its input snapshot, found none or a damaged one; run its "
            "`tinyaug augment` command again"
        )
    names = ShardNames(CANDIDATES, "part", len(snapshot.text_bounds) - 1)
    job = Job(source.root, source.root, run.identity, None, None, None, run.candidates_hash)
    finished = finished_records(source, Stage(CANDIDATES, job, names, run.candidates_hash))
    if len(finished) < names.parts:
        raise UserError(
            f"--candidates {source.display()}: expected {names.parts} finished parts, found {len(finished)}; run its "
            "`tinyaug augment` command to the end first"
        )
    return run, snapshot


def _identity(run: RunFile, request: ResampleRequest) -> Identity:
    given = {name: value for name, value in request.draw.items() if value is not None}
    settings = run.identity.settings
    settings = replace(
        settings,
        draw=replace(settings.draw, **given),
        drop_leaks=settings.drop_leaks if request.drop_leaks is None else request.drop_leaks,
        shard_rows=settings.shard_rows if request.shard_rows is None else request.shard_rows,
        protect_more=tuple(entry for entry in request.protect if entry not in settings.candidates.protect),
    )
    versions = {**run.identity.versions, **software_versions()}  # no masked LM runs: what ran it is as it was
    return replace(run.identity, settings=settings, versions=versions)
