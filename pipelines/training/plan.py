"""What a job would cost, measured with its own models on its own rows; and what an earlier start of it left."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distill.wording import shown_bytes
from pipelines.errors import UserError
from pipelines.run_folder.stage_folder import finished_metrics, is_whole
from pipelines.teacher_cache.decision import CacheDecision, CacheQuestion, decide_cache
from pipelines.teacher_cache.room import OFF, bytes_of, refuse_foreign_caches
from pipelines.training.estimates import StageEstimate, TrainingEstimate, weights_bytes
from pipelines.training.loop import train_settings
from pipelines.training.ranks import processes

if TYPE_CHECKING:
    from pathlib import Path

    from distill.shards import ShardStream
    from distill.timing import Cost
    from pipelines.methods.method import MethodStage, Rows
    from pipelines.run_folder.storage import Storage
    from pipelines.training.job import Job, Models


NO_DEV = (
    "no labelled dev part: the last epoch is kept, not the best one, and no score is reported; of a custom task "
    "--dev-split 0.1 holds a tenth of the rows back as one"
)


@dataclass(frozen=True)
class Begun:
    """What an earlier start left in a job's folder.

    Args:
        cache: its decision, which holds; None where none was made yet.
        done: names of the stages that are finished.
        finished: whether nothing is left to do.
    """

    cache: CacheDecision | None = None
    done: tuple[str, ...] = ()
    finished: bool = False


def begun_job(job: Job, storage: Storage, started: Any) -> Begun:
    """Looks at the folder of a job.

    Args:
        job: the job.
        storage: its folder.
        started: its run.json; None for a fresh folder, or one that will be emptied.
    """
    if started is None or "resolved" not in started:
        return Begun()
    stages = job.method.stages
    finished = finished_metrics(storage) is not None
    done = tuple(
        stage.name
        for stage in stages
        if finished or is_whole(storage, (storage.read_json(f"{stage.folder}/stage.json") or {}).get("files"))
    )
    return Begun(CacheDecision.read(started["resolved"].get("cache"), stages), done, finished)


@dataclass(frozen=True)
class Plan:
    """The plan of a job.

    Args:
        cache: what will be kept of the teacher's outputs.
        estimate: steps, examples, bytes and time.
        truncated: share of the rows that are longer than the model is given, 0 to 1; None where it is not known.
    """

    cache: CacheDecision
    estimate: TrainingEstimate
    truncated: float | None


def measure(job: Job, models: Models, storage: Storage, caches: Path, begun: Begun) -> Plan:
    """Decides on the cache and measures each stage that is left for a few seconds; writes no more than rows.

    Args:
        job: checked.
        models: as they start; unchanged.
        storage: folder of the rows, or of a sample of them.
        caches: folder of the caches.
        begun: what an earlier start left.

    Raises:
        UserError: a folder of caches is another run's, or the cache does not fit its budget.
        DistillError: student and teacher do not fit.
    """
    from distill.timing import NOTHING

    trained = job.method.trained
    streams = {stage.reads: job.stream(stage, storage) for stage in reversed(trained)}
    cache = begun.cache or _decide(job, models, streams, caches)
    if not begun.finished and not job.provisional and cache.contents:
        for data, stream in streams.items():
            contents = {cache.contents.get(stage.name, OFF) for stage in trained if stage.reads == data}
            refuse_foreign_caches(job.cache, models.teacher, stream, contents, caches)
    stages = []
    for stage in trained:
        done, rows = stage.name in begun.done, job.rows(streams[stage.reads], stage.rows)
        cost = NOTHING if done else _cost(job, models, stage, streams[stage.reads], storage)
        taught = _taught(stage, trained, cache, rows, job.request.reading.seed)
        stages.append(StageEstimate(stage.name, stage.recipe, rows, cost, taught, job.request.reading.seed, done))
    needed = disk = 0
    if not begun.finished:
        there = 0 if begun.cache is None else sum(bytes_of(caches / content) for content in cache.kept)
        needed = max(0, cache.bytes - there)
        disk = weights_bytes(models.student.model.num_parameters(), len(stages)) + job.disk_bytes()
    told = {stage.reads: job.tell(storage, streams[stage.reads]) for stage in trained}
    notes, facts = (
        tuple(dict.fromkeys(line for one in told.values() for line in getattr(one, kind)))
        for kind in ("notes", "facts")
    )
    if not job.has_dev and any(stage.selects for stage in trained):
        notes += (NO_DEV,)
    estimate = TrainingEstimate(tuple(stages), cache.words, needed, disk, notes, facts, job.first_look)
    return Plan(cache, estimate, told[trained[0].reads].truncated)


def _cost(job: Job, models: Models, stage: MethodStage, stream: ShardStream, storage: Storage) -> Cost:
    """Measures a stage: by its steps alone, or on a GPU, where steps overlap, by the loop as a whole."""
    from distill.precision import Precision
    from distill.timing import loop_cost, sample_batches, stage_cost

    device, machine = models.student.model.device, job.request.machine
    objective = stage.objective(models.student, models.teacher)
    if device.type == "cuda" and processes() == 1:  # the other processes of a run wait for this one
        stream = job.stream(stage, storage)  # the batches are this stage's own
        return loop_cost(objective, models.teacher, stream, train_settings(stage.recipe, machine, 0))
    return stage_cost(objective, models.teacher, sample_batches(stream, device), Precision(machine.precision))


def _decide(job: Job, models: Models, streams: dict[tuple[Rows, bool], ShardStream], caches: Path) -> CacheDecision:
    """The decision, for the stages that read the same data; what they keep is taken from the budget of the others."""
    decision = CacheDecision({})
    for data, stream in streams.items():
        stages = tuple(stage for stage in job.method.stages if stage.reads == data and stage.kept is not None)
        if models.teacher is not None and any(stage.recipe.epochs for stage in stages):
            rows, taken = job.rows(stream, data[0]), decision.bytes
            decision += decide_cache(CacheQuestion(job.cache, stages, models.teacher, stream, caches, rows, taken))
    return decision


def _taught(stage: MethodStage, trained: tuple[MethodStage, ...], cache: CacheDecision, rows: int, seed: int) -> int:
    """Examples that the teacher has to be run on in a stage: each row once where what the stage wants is kept."""
    content, examples = cache.contents.get(stage.name, OFF), stage.recipe.examples(rows, seed)
    if stage.kept is None or content == OFF or (content == "logits" and stage.kept.of_layers):
        return examples
    earlier = trained[: trained.index(stage)]
    if any(
        cache.contents.get(one.name) == content and one.recipe.sees_all(rows)
        for one in earlier
        if one.reads == stage.reads
    ):
        return 0  # an earlier stage filled it
    return min(rows, examples)


def check_disk(folder: Path, needed: int, why: str) -> None:
    """Refuses to begin what the disk cannot hold.

    Args:
        folder: where it will lie; may not exist yet.
        needed: bytes.
        why: what takes them.

    Raises:
        UserError: it is too small.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: expected {shown_bytes(needed)} of free disk ({why}), found {shown_bytes(free)}; free some, "
            "choose another disk, or give a lower --cache-budget"
        )
