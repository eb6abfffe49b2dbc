"""What a user asks of `tinyaug augment` and `resample`, and the checks before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augment.files.checks import case_warning
from pipelines.augmenting.run_file import RunFile
from pipelines.augmenting.settings import Identity, JobSettings, make_identity
from pipelines.classes.numbers import with_numbers
from pipelines.engines import EngineSettings
from pipelines.errors import UserError
from pipelines.machine.compute import resolve_compute
from pipelines.machine.devices import check_device
from pipelines.run_folder.identity import software_versions
from pipelines.tasks import BadRow, CustomOptions, OpenTask, stop_or_skip
from pipelines.tasks.features import is_augmented
from pipelines.tasks.task import AUGMENTED_COLUMNS

if TYPE_CHECKING:
    from augment.files.find import ModelFiles
    from glove import WordVectors
    from pipelines.found import Found
    from pipelines.options.drawing import ByClass
    from pipelines.reporting import Reporter
    from pipelines.run_folder.identity import Versions
    from pipelines.tasks import Task


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
        settings: what determines the output.
        engine: how it is run.
        mlm_revision: of the masked LM on the hub.
        data_revision: of the data set on the hub.
        overwrite: start afresh in a directory that holds a run.
        verify: compare hashes of finished shards, not their sizes alone.
        allow_rejects: rejected rows are no failure.
        pairs: as the user gave it; None where the preset decides.
        reuse: run directory whose candidates are taken where they are the same; None for that of `out`.
        config: as of `RunFile`.

    Raises:
        UserError: no name of a run directory.
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
    pairs: str | None = None
    by_class: ByClass | None = None
    reuse: str | None = None
    config: str = ""

    def __post_init__(self) -> None:
        if not self.out.strip():
            raise UserError("--out: expected a folder or an address, found an empty name; leave it out for runs/TASK")


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
        by_class: variants of the rows of each class, in place of `draw["n"]`.
        balance: as of `JobSettings`; None leaves what the run had.
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
    by_class: ByClass | None = None
    balance: bool | None = None


@dataclass(frozen=True)
class Checked:
    """A request whose inputs were found.

    Args:
        opened: the task's files.
        bad_rows: filled while the task is read; none where the first one stops the job.
        model: the masked LM's files.
        vectors: the vectors, or None.
    """

    opened: OpenTask
    bad_rows: list[BadRow]
    model: ModelFiles
    vectors: WordVectors | None


def check_inputs(request: AugmentRequest, reporter: Reporter, found: Found) -> Checked:
    """Finds everything a request names before anything is written, cheapest first.

    Args:
        request: what the user asked for.
        reporter: is told while vectors are converted.
        found: what the command has found already.

    Raises:
        UserError, AugmentError, VectorsError: something cannot be used.
    """
    check_device(request.settings.compute.device, request.engine)
    if request.mlm_revision is not None and Path(request.mlm).expanduser().is_dir():
        raise UserError(
            f"--revision {request.mlm_revision}: expected --mlm with a name on the hub, found the folder "
            f"{request.mlm}; leave --revision out"
        )
    bad_rows: list[BadRow] = []
    on_bad = stop_or_skip if request.settings.on_bad_row == "stop" else bad_rows.append
    opened = found.task(request.task, request.data, request.custom, request.data_revision, on_bad)
    check_pairs(request.settings, opened.task, request.pairs)
    with_numbers(request.settings, request.by_class, opened.task)
    if any(is_augmented(source.schema) for source in opened.split("train").sources):
        raise UserError(
            f"--data {request.data}: expected rows to augment, found rows of a `tinyaug augment` (columns "
            f"{' and '.join(AUGMENTED_COLUMNS[:2])}); give the file that they were made of, or draw again with "
            "`tinyaug resample`"
        )
    for note in opened.notes():
        reporter.message(f"note: {note}")
    model = found.masked_lm(request.mlm, request.mlm_revision)
    if warning := case_warning(model.folder, model.who):
        reporter.message(f"warning: {warning}")
    vectors = found.vectors(request.glove, reporter.message) if request.glove is not None else None
    return Checked(opened, bad_rows, model, vectors)


def check_pairs(settings: JobSettings, task: Task, pairs: str | None) -> None:
    """Refuses settings for pairs of texts where a task has one.

    Args:
        settings: all of them; a preset's own `each` does no harm to single texts.
        task: the task.
        pairs: as the user gave it; None where it was not given.

    Raises:
        UserError: naming the task's column.
    """
    columns = task.text_columns
    asked = pairs not in (None, "joint") or settings.draw.pairs == "second"
    if len(columns) == 1 and (asked or settings.candidates.segment == "partner"):
        option = f"--pairs {pairs or settings.draw.pairs}" if asked else "--pair-context"
        raise UserError(
            f"{option}: expected a task with two texts, found {task.name} with {columns[0]} alone; leave it out"
        )


def identity_of(request: AugmentRequest, checked: Checked, versions: Versions | None = None) -> Identity:
    """What a request amounts to: its settings and fingerprints of all it reads.

    Args:
        request: what the user asked for.
        checked: its inputs.
        versions: of the software; None: found out here.

    Raises:
        UserError: a precision that cannot be decided on this machine.
    """
    parts = [checked.opened.split(name) for name in ("train", *checked.opened.held_out())]
    files = [*{file.name: file for part in parts for file in part.files}.values()]  # a part split off shares them
    models = {"mlm": checked.model.fingerprint, "glove": checked.vectors.fingerprint if checked.vectors else ""}
    compute = resolve_compute(request.settings.compute, checked.model, request.engine)
    settings = with_numbers(replace(request.settings, compute=compute), request.by_class, checked.opened.task)
    return make_identity(checked.opened.task, files, settings, models, versions or software_versions(compute))


def asked_run(request: AugmentRequest, checked: Checked, reuse: str | None, versions: Versions | None) -> RunFile:
    """What run.json would say of a request.

    Args:
        request: what the user asked for.
        checked: its inputs.
        reuse: the run whose candidates are taken.
        versions: as for `identity_of`.
    """
    identity = identity_of(request, checked, versions)
    sources = {
        "task": request.task,
        "data": str(request.data) if request.data is not None else None,
        "data_revision": checked.opened.revision,
        "mlm": request.mlm,
        "mlm_revision": checked.model.revision,
        "glove": request.glove,
    }
    return RunFile(identity, sources, identity.candidates_hash, reused_from=reuse, config=request.config)
