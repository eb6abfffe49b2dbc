"""`tinyaug cache-teacher`: the whole teacher cache ahead of training, in the batches its first epoch would have."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distill.errors import DistillError
from pipelines.errors import JobError, UserError
from pipelines.training.distill_checks import check_disk, check_distill
from pipelines.training.distill_session import (
    OFF,
    decide_cache,
    load_teacher,
    open_targets,
    training_rows,
    training_stream,
)
from pipelines.training.folder import stage_storage
from pipelines.training.ranks import Ranks
from pipelines.training.teacher_kernel import pack_teacher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distill.shards import Batch, Position, ShardStream
    from pipelines.training.reporting import TrainingReporter
    from pipelines.training.request import DistillRequest


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
    """Runs the teacher over all training rows and keeps what `distill` will ask for.

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
    storage = stage_storage(request.out, "a teacher cache")
    checked = check_distill(request)
    caches = storage.local_folder()
    ranks = Ranks(request.machine.device == "cpu")
    teacher = load_teacher(request, checked)
    pack_teacher(teacher)
    with folder_lock(caches):
        place = training_rows(request, checked, storage)
        stream = training_stream(request, checked, place, request.intermediate.batch_rows)
        asked = replace(request, intermediate=replace(request.intermediate, max_steps=None))
        decision = decide_cache(asked, teacher, stream, caches)
        reporter.message(decision.words)
        check_disk(caches, decision.bytes, "the teacher cache")
        content = decision.intermediate if request.intermediate.epochs else decision.prediction
        targets = open_targets(request, teacher, stream, content, caches, ranks)
        fresh = targets.cache is not None and not targets.cache.complete
        if fresh:
            _fill(targets, stream, reporter)
        folder = caches / content
        size = sum(path.stat().st_size for path in folder.iterdir())
        return Filled(folder, decision.words, len(stream), size, fresh)


def _fill(targets: Any, stream: ShardStream, reporter: TrainingReporter) -> None:
    from distill.targets import fill_cache

    reporter.stage_started("teacher", len(stream))
    try:
        fill_cache(targets, _Watched(stream, reporter))  # type: ignore[arg-type]
    except DistillError as error:
        raise JobError(f"teacher cache: {error}") from error
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
