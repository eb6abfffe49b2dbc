"""`tinyaug resample`: another draw from stored candidates; needs nothing but the run directory they lie in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.augmenting.augment_job import Outcome, carry_out, stages
from pipelines.augmenting.request import check_pairs
from pipelines.augmenting.run_file import RunFile, existing_run
from pipelines.augmenting.snapshot import Snapshot, read_snapshot
from pipelines.augmenting.stage_run import StageState
from pipelines.augmenting.stages import CANDIDATES, Job
from pipelines.classes.numbers import check_counts, with_numbers
from pipelines.errors import UserError
from pipelines.run_folder.identity import software_versions
from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.run_file import AUGMENT, started_run
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from pipelines.augmenting.request import ResampleRequest
    from pipelines.augmenting.settings import Identity
    from pipelines.reporting import Reporter


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
    check_pairs(identity.settings, identity.task, request.draw.get("pairs"))
    check_counts(identity.settings, identity.task, snapshot.labels)
    started_run(storage, AUGMENT)
    asked = RunFile(identity, run.sources, run.candidates_hash, source.root)

    def job_of(drawn: RunFile) -> Job:
        return Job(storage.root, source.root, drawn.identity, drawn.candidates_hash)

    with only_writer(storage, reporter.message) as lock:
        return carry_out(request, lambda _: asked, job_of, lambda *_: snapshot, reporter, lock)


def _drawable(source: Storage) -> tuple[RunFile, Snapshot]:
    """The run and the input of a directory whose candidates are complete."""
    run, remedy = existing_run(source, "--candidates "), ""
    snapshot = read_snapshot(source)
    if run.resampled_from is not None:
        remedy = f"a run with candidates, found one that was drawn from {run.resampled_from}; name that one"
    elif run.identity.settings.candidates.context == "running":
        remedy = (
            "stored candidates, found a run with context running: its candidates depend on seed and variant and are "
            "not stored; run `tinyaug augment` with another --seed"
        )
    elif snapshot is None:
        remedy = "its input snapshot, found none or a damaged one; run its `tinyaug augment` command again"
    else:
        job = Job(source.root, source.root, run.identity, run.candidates_hash)
        candidates = next(stage for stage in stages(job, snapshot) if stage.name == CANDIDATES)
        state = StageState.of(source, candidates, verify=False)
        if not state.left:
            return run, snapshot
        remedy = (
            f"{state.stage.names.parts} finished parts, found {len(state.records)}; run its `tinyaug augment` command "
            "to the end first"
        )
    raise UserError(f"--candidates {source.display()}: expected {remedy}")


def _identity(run: RunFile, request: ResampleRequest) -> Identity:
    given = {name: value for name, value in request.draw.items() if value is not None}
    settings = run.identity.settings
    if "n" in given:  # one number for all rows, in place of those by class
        settings = replace(settings, by_class=None)
    settings = replace(
        settings,
        draw=replace(settings.draw, **given),
        drop_leaks=settings.drop_leaks if request.drop_leaks is None else request.drop_leaks,
        shard_rows=settings.shard_rows if request.shard_rows is None else request.shard_rows,
        balance=settings.balance and request.by_class is None if request.balance is None else request.balance,
        protect_more=tuple(entry for entry in request.protect if entry not in settings.candidates.protect),
    )
    settings = with_numbers(settings, request.by_class, run.identity.task)
    versions = {**run.identity.versions, **software_versions()}  # no masked LM runs: what ran it is as it was
    return replace(run.identity, settings=settings, versions=versions)
