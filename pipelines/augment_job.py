"""`tinyaug augment`: checks, input snapshot, candidates, variants, manifests (design sections 1-6)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augment.model_files import ModelFiles, find_model
from glove import load_vectors
from pipelines.card import write_card
from pipelines.engines import EngineSettings
from pipelines.errors import UserError
from pipelines.job import AUGMENTED, CANDIDATES, Job, Stage
from pipelines.lock import only_writer
from pipelines.plan import shard_bounds
from pipelines.records import Record, ShardNames, merge_counts
from pipelines.run_file import RunFile, overwrite, read_run, refuse_other_settings, write_run
from pipelines.settings import Identity, JobSettings, make_identity
from pipelines.snapshot import Snapshot, read_snapshot, write_snapshot
from pipelines.stage_run import finished_records, run_stage, write_rejected
from pipelines.storage import Storage
from pipelines.tasks import BadRow, CustomOptions, OpenTask, open_task, stop_at_bad_row

if TYPE_CHECKING:
    from glove import WordVectors
    from pipelines.reporting import Reporter


@dataclass(frozen=True)
class AugmentRequest:
    """What the user asked for.

    Args:
        task: name of the task.
        out: the run directory, a path or a URI.
        mlm: folder or hub name of the masked LM.
        glove: vectors file or name; None leaves multi-piece words as they are.
        data: the user's files; None for the hub.
        custom: columns of a custom task.
        settings: what determines the output; `compute.device` may still be `auto`.
        engine: how it is run.
        mlm_revision: of the masked LM on the hub.
        data_revision: of the data set on the hub.
        overwrite: start afresh in a directory that holds a run.
        verify: compare hashes of finished shards, not their sizes alone.
        allow_rejects: rejected rows are no failure.
    """

    task: str
    out: str
    mlm: str
    glove: str | None
    data: Path | None = None
    custom: CustomOptions | None = None
    settings: JobSettings = field(default_factory=JobSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    mlm_revision: str | None = None
    data_revision: str | None = None
    overwrite: bool = False
    verify: bool = False
    allow_rejects: bool = False


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


@dataclass(frozen=True)
class Checked:
    """A request whose inputs were found.

    Args:
        opened: the task's files.
        rejects: filled with bad rows while the task is read.
        model: the masked LM's files.
        vectors: the vectors, or None.
    """

    opened: OpenTask
    rejects: list[dict[str, Any]]
    model: ModelFiles
    vectors: WordVectors | None


def check_inputs(request: AugmentRequest, reporter: Reporter) -> Checked:
    """Finds everything a request names before anything is written, cheapest first.

    Args:
        request: what the user asked for.
        reporter: is told while vectors are converted.

    Raises:
        UserError, AugmentError, VectorsError: something cannot be used.
    """
    rejects: list[dict[str, Any]] = []
    on_bad = stop_at_bad_row if request.settings.on_bad_row == "stop" else _collector(rejects)
    opened = open_task(request.task, request.data, request.custom, request.data_revision, on_bad)
    _check_pairs(request.settings, opened)
    opened.split("train")
    model = find_model(request.mlm, request.mlm_revision)
    vectors = load_vectors(request.glove, progress=reporter.message) if request.glove is not None else None
    return Checked(opened, rejects, model, vectors)


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
        read_run_or_nothing(storage)
    identity = identity_of(request, checked, started)
    with only_writer(storage):
        if request.overwrite:
            overwrite(storage)
        storage.clear_partial()
        job = _job(request, checked, storage, started.identity if started else identity)
        if started is not None:
            refuse_other_settings(storage, started.identity, identity, _unfinished(storage, job))
        else:
            write_run(storage, RunFile(identity, _sources(request, checked), identity.candidates_hash))
        snapshot = read_snapshot(storage) or _take_snapshot(storage, job, checked, request, reporter)
        return finish_job(storage, job, snapshot, request.engine, request.verify, reporter)


def read_run_or_nothing(storage: Storage) -> None:
    """Refuses `--overwrite` of a directory that is not ours before anything else happens."""
    content = storage.read_json("run.json")
    if content is None:
        read_run(storage)


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


def identity_of(request: AugmentRequest, checked: Checked, started: RunFile | None = None) -> Identity:
    """What a request amounts to: its settings and fingerprints of all it reads.

    Args:
        request: what the user asked for.
        checked: its inputs.
        started: the run that stands in its directory; None for none.
    """
    files = list(checked.opened.split("train").files)
    for name in checked.opened.held_out():
        files += checked.opened.split(name).files
    models = {"mlm": checked.model.fingerprint, "glove": checked.vectors.fingerprint if checked.vectors else ""}
    return make_identity(checked.opened.task, files, _resolved(request.settings, started), models)


def _resolved(settings: JobSettings, started: RunFile | None) -> JobSettings:
    """Settings with `--device auto` decided: as the run was started, else by what this machine has."""
    device = settings.compute.device
    if device == "auto" and started is not None:
        device = started.identity.settings.compute.device
    elif device != "cpu":
        from augment.masked_lm import resolve_device

        device = resolve_device(device)
    return replace(settings, compute=replace(settings.compute, device=device))


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
    return write_snapshot(
        storage,
        checked.opened,
        settings.limit,
        checked.rejects,
        job.with_partner,
        settings.candidates.mask_spacing,
    )


def _collector(rejects: list[dict[str, Any]]) -> Any:
    def collect(row: BadRow) -> None:
        rejects.append(
            {
                "source_idx": row.source_idx,
                "file": row.file,
                "line": row.line,
                "column": row.column,
                "stage": "read",
                "error": row.error,
                "text": row.text,
            }
        )

    return collect


def _check_pairs(settings: JobSettings, opened: OpenTask) -> None:
    columns = opened.task.text_columns
    if len(columns) == 1 and (settings.candidates.segment == "partner" or settings.draw.pairs == "second"):
        raise UserError(
            f"--pairs second and --pair-context: expected a task with two texts, found {opened.task.name} with "
            f"{columns[0]} alone; leave them out"
        )
