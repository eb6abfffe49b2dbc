"""`tinyaug cache-teacher`: the whole teacher cache ahead of training, in the batches its first epoch would have."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from distill.errors import DistillError
from pipelines.errors import JobError, UserError
from pipelines.run_file import undone_if_refused
from pipelines.training.cache_room import OFF
from pipelines.training.distill_checks import check_disk, check_distill
from pipelines.training.distill_session import (
    CacheDecision,
    decide_cache,
    load_teacher,
    open_targets,
    train_inputs,
    training_rows,
    training_stream,
)
from pipelines.training.folder import (
    METRICS,
    RUN,
    refuse_other_run,
    run_content,
    stage_storage,
    started_run,
    task_content,
)
from pipelines.training.ranks import Ranks
from pipelines.training.teacher_kernel import pack_teacher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distill.shards import Batch, Position, ShardStream
    from distill.teacher import Teacher
    from pipelines.storage import Storage
    from pipelines.training.distill_checks import CheckedDistill
    from pipelines.training.reporting import TrainingReporter
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


def fill_teacher_cache(request: DistillRequest, reporter: TrainingReporter) -> Filled:
    """Runs the teacher over all training rows and keeps what `distill` will ask for; goes on after a kill.

    Args:
        request: as for `distill`; `out` is the folder of the cache.
        reporter: is told of progress.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError: a mistake of the user's.
        JobError: the teacher's outputs do not fit.
    """
    from distill.folder_lock import folder_lock

    if request.cache.mode == OFF:
        raise UserError("--cache: expected auto, full or logits, found off: there would be nothing to do")
    if (processes := int(os.environ.get("WORLD_SIZE", "1"))) > 1:
        raise UserError(f"`tinyaug {KIND}`: expected one process, found {processes}; start it without torchrun")
    storage = stage_storage(request.out, "a teacher cache")
    started_run(storage, KIND, overwrite=False)
    checked = check_distill(request)
    content = _content(request, checked)
    teacher = load_teacher(request, checked)
    pack_teacher(teacher)
    with folder_lock(storage.local_folder()):
        started = started_run(storage, KIND, request.cache.rebuild)
        if started is not None:
            refuse_other_run(storage, started, content, storage.size(METRICS) is not None, AFRESH)
        storage.clear_partial()
        with undone_if_refused(storage, fresh=started is None):
            if started is None:
                storage.write_json(RUN, content)  # first of all: it says whose folder this is
            place = training_rows(request, checked, storage)
            stream = training_stream(request, checked, place, request.intermediate.batch_rows)
            decision = _decided(request, teacher, stream, storage)
            there = _bytes(storage.local_folder() / _kept(request, decision))
            check_disk(storage.local_folder(), decision.bytes - there, "the teacher cache")
        reporter.message(decision.words)
        return _filled(request, teacher, stream, decision, storage, reporter)


def _content(request: DistillRequest, checked: CheckedDistill) -> dict[str, Any]:
    """What run.json says: all that decides what is kept."""
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


def _decided(request: DistillRequest, teacher: Teacher, stream: ShardStream, storage: Storage) -> CacheDecision:
    """The decision of the first start: what was begun is gone on with, whatever became of the disk since."""
    content = storage.read_json(RUN) or {}
    if "resolved" in content:
        return CacheDecision(**content["resolved"]["cache"])
    caches = storage.local_folder()
    asked = replace(request, intermediate=replace(request.intermediate, max_steps=None))
    decision = decide_cache(asked, teacher, stream, caches)
    storage.write_json(RUN, {**content, "resolved": {"cache": asdict(decision)}})
    return decision


def _filled(
    request: DistillRequest,
    teacher: Teacher,
    stream: ShardStream,
    decision: CacheDecision,
    storage: Storage,
    reporter: TrainingReporter,
) -> Filled:
    kept = _kept(request, decision)
    caches = storage.local_folder()
    targets = open_targets(request, teacher, stream, kept, caches, Ranks(request.machine.device == "cpu"))
    fresh = targets.cache is not None and not targets.cache.complete
    if fresh:
        _fill(targets, stream, reporter)
    folder = caches / kept
    size = _bytes(folder)
    storage.write_json(METRICS, {"content": kept, "rows": len(stream), "bytes": size})
    return Filled(folder, decision.words, len(stream), size, fresh)


def _kept(request: DistillRequest, decision: CacheDecision) -> str:
    return decision.intermediate if request.intermediate.epochs else decision.prediction


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*"))


def _fill(targets: Any, stream: ShardStream, reporter: TrainingReporter) -> None:
    from distill.targets import fill_cache

    reporter.stage_started("teacher", len(stream))
    try:
        fill_cache(targets, _Watched(stream, reporter))  # type: ignore[arg-type]
    except DistillError as error:
        raise JobError(f"teacher cache: {error}") from error
    except OSError as error:
        raise JobError(
            f"teacher cache: cannot be written: {error.strerror or error}; what was finished is kept: free some space "
            "and run the same command again"
        ) from error
    finally:
        stream.close()
        reporter.stage_ended("teacher")


class _Watched:
    """A stream that tells of its batches."""

    def __init__(self, stream: ShardStream, reporter: TrainingReporter) -> None:
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
