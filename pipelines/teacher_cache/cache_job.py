"""`tinyaug cache-teacher`: the whole teacher cache ahead of training, in the batches its first epoch would have."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from distill.errors import DistillError
from pipelines.distilling.checks import check_disk, check_distill
from pipelines.distilling.session import (
    CacheDecision,
    decide_cache,
    load_teacher,
    open_targets,
    train_inputs,
    training_rows,
    training_stream,
)
from pipelines.errors import JobError, UserError
from pipelines.evaluating.label_order import order_note
from pipelines.evaluating.teacher_check import judge_teacher
from pipelines.found import Found
from pipelines.run_folder.lock import remove_unused
from pipelines.run_folder.run_file import undone_if_refused
from pipelines.run_folder.stage_folder import (
    METRICS,
    RUN,
    refuse_other_run,
    run_content,
    stage_storage,
    started_run,
    task_content,
)
from pipelines.teacher_cache.room import OFF, bytes_of
from pipelines.training.cut_texts import cut_texts
from pipelines.training.estimates import layer_map_note, subset_note
from pipelines.training.ranks import Ranks
from pipelines.training.stopping import stops_noted
from pipelines.training.teacher_kernel import pack_teacher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distill.shards import Batch, Position, ShardStream
    from distill.teacher import Teacher
    from pipelines.distilling.checks import CheckedDistill
    from pipelines.reporting import Reporter
    from pipelines.run_folder.storage import Storage
    from pipelines.training.request import DistillRequest

KIND, AFRESH = "cache-teacher", "--rebuild-cache"


@dataclass(frozen=True)
class Filled:
    """What came of it.

    Args:
        folder: of the cache.
        words: the decision with its numbers.
        rows: cached.
        bytes: of the cache.
        fresh: whether anything was left to do.
    """

    folder: Path
    words: str
    rows: int
    bytes: int
    fresh: bool


def fill_teacher_cache(request: DistillRequest, reporter: Reporter) -> Filled:
    """Runs the teacher over all training rows and keeps what `distill` will ask for; goes on after a kill.

    Args:
        request: as for `distill`; `out` is the folder of the cache.
        reporter: is told of progress.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError: a mistake of the user's, such as a teacher whose labels are in the wrong
            order by some rows of the dev part.
        JobError: the teacher's outputs do not fit.
    """
    from distill.folder_lock import folder_lock

    check_mode(request)
    if (processes := int(os.environ.get("WORLD_SIZE", "1"))) > 1:
        raise UserError(f"`tinyaug {KIND}`: expected one process, found {processes}; start it without torchrun")
    storage = stage_storage(request.out, "a teacher cache")
    started_run(storage, KIND, overwrite=False)
    checked = check_distill(request, Found())
    content = cache_content(request, checked)
    teacher = load_teacher(request, checked)
    pack_teacher(teacher)
    made = storage.missing_folders()
    with folder_lock(storage.local_folder()):
        started = started_run(storage, KIND, request.cache.rebuild)
        if started is not None:
            refuse_other_run(storage, started, content, storage.size(METRICS) is not None, AFRESH)
        storage.clear_partial()
        files, data = checked.teacher, checked.data
        try:
            if started is None:  # the teacher is not run for hours to be refused by `distill`
                judge_teacher(teacher.model, files, data, request, reporter)
            with undone_if_refused(storage, fresh=started is None):
                stream, decision = _begun(request, checked, teacher, content if started is None else None, storage)
        finally:
            remove_unused(storage, made)
        for note in order_note(files.found, files.config, data.task) if started is not None else ():
            reporter.message(note)  # of a fresh cache the judging says it
        cut = cut_texts(stream)
        for fact in cut.facts:
            reporter.message(fact)
        notes = subset_note(request.named_rows, len(stream)) + layer_map_note(checked.student.layer_map) + cut.notes
        for note in (*(data.notes() if checked.train is None else ()), *notes):
            reporter.warning(note)
        reporter.message(decision.words)
        return _filled(request, teacher, stream, decision, storage, reporter)


def _begun(
    request: DistillRequest,
    checked: CheckedDistill,
    teacher: Teacher,
    content: dict[str, Any] | None,
    storage: Storage,
) -> tuple[ShardStream, CacheDecision]:
    """The training rows and what will be kept of them; `content` is run.json's on a first start."""
    if content is not None:
        storage.write_json(RUN, content)  # first of all: it says whose folder this is
    place = training_rows(request, checked, storage)
    stream = training_stream(request, checked, place, request.intermediate.batch_rows)
    begun = storage.read_json(RUN) or {}
    decision = decision_for(request, teacher, stream, storage, begun)
    if "resolved" not in begun:
        storage.write_json(RUN, {**begun, "resolved": {"cache": asdict(decision)}})
    there = bytes_of(storage.local_folder() / kept_content(request, decision))
    check_disk(storage.local_folder(), decision.bytes - there, "the teacher cache")
    return stream, decision


def check_mode(request: DistillRequest) -> None:
    """Refuses to keep nothing.

    Raises:
        UserError: the cache is off.
    """
    if request.cache.mode == OFF:
        raise UserError("--cache: expected auto, full or logits, found off: there would be nothing to do")


def cache_content(request: DistillRequest, checked: CheckedDistill) -> dict[str, Any]:
    """What run.json says: all that decides what is kept.

    Args:
        request: what the user asked for.
        checked: its parts.
    """
    settings = {
        "layer_map": checked.student.layer_map,
        "batch_rows": request.intermediate.batch_rows,
        "cache": {"mode": request.cache.mode, "budget": request.cache.budget},
        "reading": asdict(request.reading),
        "precision": request.machine.precision,
    }
    inputs = {"train": train_inputs(checked)}
    models = {"teacher": checked.teacher.found.fingerprint}
    return run_content(KIND, settings, task_content(checked.data.task), inputs, models)


def decision_for(
    request: DistillRequest, teacher: Teacher, stream: ShardStream, storage: Storage, started: dict[str, Any] | None
) -> CacheDecision:
    """The decision of the first start: what was begun is gone on with, whatever became of the disk since.

    Args:
        request: what the user asked for.
        teacher: the teacher.
        stream: the training rows.
        storage: the folder of the cache.
        started: its run.json; None for a fresh folder.
    """
    if started is not None and "resolved" in started:
        return CacheDecision(**started["resolved"]["cache"])
    asked = replace(request, intermediate=replace(request.intermediate, max_steps=None))
    return decide_cache(asked, teacher, stream, storage.local_folder())


def _filled(
    request: DistillRequest,
    teacher: Teacher,
    stream: ShardStream,
    decision: CacheDecision,
    storage: Storage,
    reporter: Reporter,
) -> Filled:
    kept = kept_content(request, decision)
    caches = storage.local_folder()
    targets = open_targets(request, teacher, stream, kept, caches, Ranks(request.machine.device == "cpu"))
    fresh = targets.cache is not None and not targets.cache.complete
    if fresh:
        _fill(targets, stream, reporter)
    folder = caches / kept
    size = bytes_of(folder)
    storage.write_json(METRICS, {"content": kept, "rows": len(stream), "bytes": size})
    return Filled(folder, decision.words, len(stream), size, fresh)


def kept_content(request: DistillRequest, decision: CacheDecision) -> str:
    """What of the teacher's outputs will be kept: full or logits."""
    return decision.intermediate if request.intermediate.epochs else decision.prediction


def _fill(targets: Any, stream: ShardStream, reporter: Reporter) -> None:
    from distill.targets import fill_cache

    reporter.stage_started("teacher", len(stream))
    try:
        with stops_noted("batch, with what is done kept") as asked:
            fill_cache(targets, _Watched(stream, reporter), asked)  # type: ignore[arg-type]
    except DistillError as error:
        raise JobError(f"teacher cache: {error}") from error
    except OSError as error:
        raise JobError(
            f"teacher cache: cannot be written: {error.strerror or error}; what was finished is kept: free some space "
            "and run the same command again"
        ) from error
    finally:
        stream.close()
        reporter.ended("teacher")


class _Watched:
    """A stream that tells of its batches."""

    def __init__(self, stream: ShardStream, reporter: Reporter) -> None:
        self.stream, self.reporter = stream, reporter

    def batches(self, start: Position) -> Iterator[Batch]:
        """The stream's own."""
        from distill.training_settings import Progress

        began, examples = time.monotonic(), 0
        for step, batch in enumerate(self.stream.batches(start)):
            yield batch
            examples += len(batch)
            pace = examples / max(time.monotonic() - began, 1e-9)
            self.reporter.advanced(Progress(step + 1, 0, examples, len(self.stream), {}, pace))
