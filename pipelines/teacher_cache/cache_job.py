"""`tinyaug cache-teacher`: the whole teacher cache ahead of training, in the batches its first epoch would have."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.errors import DistillError
from pipelines.distilling.distill_job import DistillJob
from pipelines.errors import JobError, UserError
from pipelines.evaluating.label_order import order_note
from pipelines.evaluating.teacher_check import judge_teacher
from pipelines.models.load import pack_teacher
from pipelines.run_folder.lock import remove_unused
from pipelines.run_folder.run_file import RUN, Identity, run_content, started_run, undone_if_refused
from pipelines.run_folder.stage_folder import METRICS, stage_storage
from pipelines.run_folder.storage import Storage, unwritten
from pipelines.teacher_cache.decision import CacheDecision, CacheQuestion, decide_cache
from pipelines.teacher_cache.room import CONTENTS, OFF, bytes_of, cache_room
from pipelines.teacher_cache.targets import open_targets
from pipelines.training.estimates import StageEstimate, TrainingEstimate
from pipelines.training.plan import check_disk
from pipelines.training.ranks import Ranks, processes
from pipelines.training.stopping import stops_noted

if TYPE_CHECKING:
    from distill.shards import ShardStream
    from distill.targets import Targets
    from distill.teacher import Teacher
    from pipelines.found import Found
    from pipelines.options.teacher_cache import CacheChoice
    from pipelines.reporting import Reporter
    from pipelines.training.request import DistillRequest

KEPT = ("cache", "reading", "precision", "max_flip")  # settings of `distill` that decide what is kept


@dataclass(frozen=True)
class Filled:
    """What came of it.

    Args:
        folder: of the cache.
        rows: cached.
        bytes: of the cache.
        fresh: whether anything was left to do.
    """

    folder: Path
    rows: int
    bytes: int
    fresh: bool


class CacheJob(DistillJob):
    """The job of `cache-teacher`: of a distillation the teacher alone is run, once over all rows.

    Args:
        request: as for `distill`; `out` is the folder of the cache.
        found: what the command has found already.

    Raises:
        UserError: nothing would be kept.
    """

    kind, afresh = "cache-teacher", "--rebuild-cache"

    def __init__(self, request: DistillRequest, found: Found) -> None:
        if request.cache.mode == OFF:
            raise UserError("--cache: expected auto, full or logits, found off: there would be nothing to do")
        super().__init__(request, found)
        self.first = self.method.trained[0]

    def _cache_of_task(self) -> CacheChoice:
        """What is kept of the teacher, which `distill` would read.

        Raises:
            UserError: it would read none.
        """
        if self.data.task.label.is_span:
            raise UserError(
                f"--task {self.data.task.name}: expected a task of labels or scores; a cache keeps no logits of tokens "
                "and `tinyaug distill` runs the teacher as it goes"
            )
        return self.cache

    def content(self) -> Any:
        """What run.json says: all that decides what is kept."""
        found = self.identity()
        own = {"method": self.request.method, "kept": str(self.first.kept), "layers": self.layer_map}
        settings = {
            "batch_rows": self.first.recipe.batch_rows,
            **({"layer_map": self.layer_map} if self.method.layers is None else own),
            **{name: found.settings[name] for name in KEPT if name in found.settings},
        }
        models = {"teacher": self.teacher.found.fingerprint}
        kept = Identity(settings, found.task, {"train": found.inputs["train"]}, models)
        return run_content(self.kind, kept, stages=[])

    def decide(self, teacher: Teacher, stream: ShardStream, root: Path, started: Any) -> CacheDecision:
        """The decision of the first start, which holds whatever became of the disk since."""
        if started is not None and "resolved" in started:
            return CacheDecision.read(started["resolved"]["cache"], self.method.stages)
        same = [stage for stage in self.method.stages if stage.reads == self.first.reads]
        stages = [replace(stage, recipe=replace(stage.recipe, max_steps=None)) for stage in same]
        found = decide_cache(CacheQuestion(self.request.cache, tuple(stages), teacher, stream, root, len(stream)))
        if found.contents[self.first.name] == OFF:
            raise UserError(f"{found.words}: nothing would be kept; raise --cache-budget, or free some disk")
        return found


def plan_filling(job: CacheJob, folder: str) -> TrainingEstimate:
    """What running the teacher over all training rows would cost; rows that are there already are not left out.

    Args:
        job: what the user asked for.
        folder: for what has to lie somewhere meanwhile.

    Raises:
        UserError, AugmentError, DistillError: something cannot be used.
    """
    from distill.cache_format import CacheContent, default_budget
    from distill.targets import cache_key, kept_outputs
    from distill.timing import NOTHING, sample_batches, teacher_cost

    storage, scratch = stage_storage(job.request.out, "a teacher cache"), Storage(folder)
    started, root = started_run(storage, job.kind, overwrite=False), storage.local_folder()
    job.check()
    if job.request.cache.rebuild:  # nothing of what lies there would be left
        budget = job.request.cache.budget or default_budget(root, sum(bytes_of(root / name) for name in CONTENTS))
        job.request = replace(job.request, cache=replace(job.request.cache, budget=budget))
        started, root = None, Path(folder) / "caches"
    elif started is not None:
        job.refuse_other(storage, started, job.content(), storage.size(METRICS) is not None)
    teacher, stream = job.load_teacher(), job.stream(job.first, scratch)
    pack_teacher(teacher)
    decision = job.decide(teacher, stream, root, started)
    kept = CacheContent(decision.contents[job.first.name])
    key = cache_key(teacher, stream, kept)
    done = started is not None and cache_room(job.request.cache, root, key, stream).filled
    wanted, batches = kept_outputs(key), sample_batches(stream, teacher.model.device)
    cost = NOTHING if done else teacher_cost(teacher, wanted, batches)
    recipe = replace(job.first.recipe, epochs=1, max_steps=None)
    stage = StageEstimate("teacher", recipe, len(stream), cost, len(stream), job.request.reading.seed, done)
    needed = 0 if done else max(0, decision.bytes - bytes_of(root / kept))
    told = job.tell(scratch, stream)
    return TrainingEstimate((stage,), decision.words, needed, 0, told.notes, told.facts)


def fill_teacher_cache(job: CacheJob, reporter: Reporter) -> Filled:
    """Runs the teacher over all training rows and keeps what `distill` will ask for; goes on after a kill.

    Args:
        job: what the user asked for.
        reporter: is told of progress.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError: a mistake of the user's, such as a teacher whose labels are in the wrong
            order by some rows of the dev part.
        JobError: the teacher's outputs do not fit.
    """
    from distill.folder_lock import folder_lock

    if processes() > 1:
        raise UserError(f"`tinyaug {job.kind}`: expected one process, found {processes()}; start it without torchrun")
    storage = stage_storage(job.request.out, "a teacher cache")
    started_run(storage, job.kind, overwrite=False)
    job.check()
    teacher, made = job.load_teacher(), storage.missing_folders()
    pack_teacher(teacher)
    with folder_lock(storage.local_folder()):
        started = started_run(storage, job.kind, job.request.cache.rebuild)
        if started is not None:
            job.refuse_other(storage, started, job.content(), storage.size(METRICS) is not None)
        storage.clear_partial()
        try:
            if started is None:  # the teacher is not run for hours to be refused by `distill`
                judge_teacher(teacher.model, job.teacher, job.data, job.request, reporter)
            with undone_if_refused(storage, fresh=started is None):
                stream, decision = _begin(job, teacher, storage, started)
        finally:
            remove_unused(storage, made)
        told = job.tell(storage, stream)
        notes = order_note(job.teacher.found, job.teacher.config, job.data.task) if started is not None else ()
        for fact in (*notes, *told.facts, decision.words):
            reporter.message(fact)
        for note in told.notes:
            reporter.warning(note)
        return _filled(job, teacher, stream, decision, reporter)


def _begin(job: CacheJob, teacher: Teacher, storage: Storage, started: Any) -> tuple[ShardStream, CacheDecision]:
    """The training rows and what will be kept of them; on a first start it writes run.json."""
    content, root = started or job.content(), storage.local_folder()
    if started is None:
        storage.write_json(RUN, content)  # first of all: it says whose folder this is
    stream = job.stream(job.first, storage)
    decision = job.decide(teacher, stream, root, started)
    if "resolved" not in content:
        storage.write_json(RUN, {**content, "resolved": {"cache": decision.as_json()}})
    check_disk(root, decision.bytes - bytes_of(root / decision.contents[job.first.name]), "the teacher cache")
    return stream, decision


def _filled(
    job: CacheJob, teacher: Teacher, stream: ShardStream, decision: CacheDecision, reporter: Reporter
) -> Filled:
    storage, kept = Storage(job.request.out), decision.contents[job.first.name]
    caches, ranks = storage.local_folder(), Ranks(job.request.machine.device == "cpu")
    targets = open_targets(job.request.cache, teacher, stream, kept, caches, ranks)
    fresh = targets.cache is not None and not targets.cache.complete
    if fresh:
        _fill(targets, stream, reporter)
    size = bytes_of(caches / kept)
    storage.write_json(METRICS, {"content": kept, "rows": len(stream), "bytes": size})
    return Filled(caches / kept, len(stream), size, fresh)


def _fill(targets: Targets, stream: ShardStream, reporter: Reporter) -> None:
    from distill.targets import fill_cache
    from distill.training_settings import Progress

    began, batches, done = time.monotonic(), 0, 0

    def kept(rows: int) -> None:
        nonlocal batches, done
        batches, done = batches + 1, done + rows
        pace = done / max(time.monotonic() - began, 1e-9)
        reporter.advanced(Progress(batches, 0, done, len(stream), {}, pace))

    reporter.stage_started("teacher", len(stream))
    try:
        with stops_noted("batch, with what is done kept") as asked:
            fill_cache(targets, stream, asked, kept)
    except DistillError as error:
        raise JobError(f"teacher cache: {error}") from error
    except OSError as error:
        raise unwritten("teacher cache", error) from error
    finally:
        stream.close()
        reporter.ended("teacher")
