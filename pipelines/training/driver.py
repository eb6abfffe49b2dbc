"""Runs any method in two modes: `plan` measures its stages and writes nothing, `run` trains them.

`pipelines/methods/method.py` says what a method is, `pipelines/training/job.py` what a verb brings.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.run_folder.run_file import RUN, kept_if_refused, started_run, undone_if_refused
from pipelines.run_folder.stage_folder import (
    METRICS,
    digests,
    drop_checkpoints,
    drop_working_files,
    finished_metrics,
    is_whole,
    publish,
    publish_folder,
    stage_storage,
)
from pipelines.teacher_cache.decision import CacheDecision
from pipelines.teacher_cache.room import OFF
from pipelines.teacher_cache.targets import cache_root, claim_caches, open_targets, warn_of_rebuild
from pipelines.training.loop import train_settings, train_stage
from pipelines.training.plan import Begun, Plan, begun_job, check_disk, measure
from pipelines.training.ranks import Ranks, wait_for_main
from pipelines.training.results import Resolved, Result, StageResult

if TYPE_CHECKING:
    from pathlib import Path

    from distill.metrics import Scores
    from distill.targets import Targets
    from pipelines.methods.method import MethodStage, Rows
    from pipelines.reporting import Reporter
    from pipelines.run_folder.storage import Storage
    from pipelines.training.job import Job

STUDENT = "student"  # what a stage leaves for the next one, in its folder
PACKED = "corpus"  # the work of hours: it outlives a refusal


@dataclass(frozen=True)
class Trained:
    """What came of a training verb.

    Args:
        storage: its folder.
        metrics: the content of metrics.json.
        fresh: whether anything was left to do.
    """

    storage: Storage
    metrics: dict[str, Any]
    fresh: bool


def plan(job: Job, folder: str) -> Plan:
    """What is left of a job would cost, by a short measurement of each stage; writes nothing into the job's folder.

    Args:
        job: what the user asked for.
        folder: for what has to lie somewhere meanwhile.

    Raises:
        UserError, AugmentError, DistillError: something cannot be used.
    """
    storage = stage_storage(job.request.out, "a model")
    found = started_run(storage, job.kind, overwrite=False)
    started = None if job.request.overwrite else found
    job.keep_parts(started)
    job.check(started)
    begun = begun_job(job, storage, started)
    if started is not None and not job.provisional:
        job.refuse_other(storage, started, job.content(), begun.finished)
    return measure(job, job.load(), job.sample(storage, folder), cache_root(job.cache, storage), begun)


def run(job: Job, reporter: Reporter, profile: str | None = "paper") -> Trained:
    """Trains what is left of a job, going on where an earlier run of the same command stopped.

    Args:
        job: what the user asked for.
        reporter: is told of progress.
        profile: what it was made from, for advice; None where a long run was announced already.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError: a mistake of the user's; nothing was trained.
        JobError: training failed; the last checkpoint is kept.
    """
    storage, afresh = stage_storage(job.request.out, "a model"), job.request.overwrite
    started = started_run(storage, job.kind, overwrite=False)
    job.keep_parts(started)
    job.check(None if afresh else started)
    content = job.content()
    ranks = Ranks(job.request.machine.device == "cpu")
    with ranks.writing(storage, reporter):
        with kept_if_refused(storage, afresh) if ranks.main else nullcontext():
            done = None if afresh else finished_metrics(storage)
            ranks.wait()  # all have looked
            if ranks.main:
                started = started_run(storage, job.kind)
                if started is not None:
                    job.refuse_other(storage, started, content, done is not None)
                warn_of_rebuild(job.cache, started, reporter)
                if done is not None:  # a kill may have left some
                    drop_working_files(storage.local_folder(), [stage.folder for stage in job.method.stages])
            ranks.wait()
            if done is not None:
                return Trained(storage, done, False)
            begun = _Run(job, storage, ranks, reporter)
            begun.begin(content, profile)
        return begun.run()


class _Run:
    """A job with its models loaded."""

    def __init__(self, job: Job, storage: Storage, ranks: Ranks, reporter: Reporter) -> None:
        self.job, self.storage, self.ranks, self.told = job, storage, ranks, reporter
        self.reporter = ranks.reporter(reporter)
        self.root, self.caches = storage.local_folder(), cache_root(job.cache, storage)
        self.models = job.load()
        for stage in job.method.trained:  # refuses what does not fit before rows are written, which may take hours
            stage.objective(self.models.student, self.models.teacher)
        self.results: dict[str, StageResult] = {}
        self.dev: Scores = {}
        self.targets: dict[tuple[tuple[Rows, bool], str], Targets] = {}  # stages that read one cache check it once

    def begin(self, content: Any, profile: str | None) -> None:
        """Writes what a start and a resume need, once all was looked at that may be refused."""
        if self.ranks.main:
            self._begin(content, profile)
        else:
            wait_for_main(self.storage, self._is_begun, "the data", self.ranks, self.told)
        self.ranks.wait()

    def run(self) -> Trained:
        """Trains stage after stage."""
        from distill.folder_lock import folder_lock

        self.resolved = Resolved(**(self.storage.read_json(RUN) or {})["resolved"])
        decision = CacheDecision.read(self.resolved.cache, self.job.method.stages)
        if decision.words:
            if listed := ", ".join(map(str, self.job.layer_map)):
                self.reporter.message(f"layer map: the student's layers learn from teacher layers {listed}")
            self.reporter.message(decision.words)
        with folder_lock(self.caches) if decision.kept and self.ranks.main else nullcontext():
            self.ranks.wait()
            for stage in self.job.method.trained:
                self._stage(stage, decision)
        if self.ranks.main:
            self._publish()
        self.ranks.wait()
        return Trained(self.storage, self.storage.read_json(METRICS) or {}, True)

    def _is_begun(self, storage: Storage) -> bool:
        return "resolved" in (storage.read_json(RUN) or {}) and self.job.is_prepared(storage)

    def _begin(self, content: Any, profile: str | None) -> None:
        """Writes what all ranks then find; on a first start it resolves what run.json keeps for resumes."""
        job, storage = self.job, self.storage
        started = storage.read_json(RUN)
        with undone_if_refused(storage, fresh=started is None):
            if "resolved" not in (started or {}):
                storage.write_json(RUN, content)  # first of all: it says whose folder this is
            job.prepare(storage, self.models, self.reporter)
        if "resolved" in (started or {}):
            return
        with undone_if_refused(storage, fresh=started is None, finished=(PACKED,)):
            resolved = job.resolve(storage, self.models, self.reporter)
            found = measure(job, self.models, storage, self.caches, Begun())
            check_disk(self.caches, found.estimate.cache_bytes, "the teacher cache")
            check_disk(self.root, found.estimate.disk_bytes, "checkpoints and models")
            for data, stage in {stage.reads: stage for stage in job.method.trained}.items():
                contents = {found.cache.contents.get(one.name, OFF) for one in job.method.stages if one.reads == data}
                claim_caches(job.cache, self.models.teacher, job.stream(stage, storage), contents, self.caches)
        self._say(found, profile)
        resolved = replace(
            resolved,
            cache=found.cache.as_json() if found.cache.contents else None,
            truncated_share=found.truncated,
            device=job.request.machine.device,
            estimated_seconds=round(found.estimate.seconds, 1),
        )
        told = {name: value for name, value in asdict(resolved).items() if value is not None}
        storage.write_json(RUN, {**content, "resolved": told})

    def _say(self, found: Plan, profile: str | None) -> None:
        for fact in found.estimate.facts:
            self.reporter.message(fact)
        for note in found.estimate.notes:
            self.reporter.warning(note)
        device = self.job.request.machine.device
        if profile is not None and (warning := found.estimate.warning(device, profile)):
            self.reporter.warning(warning)

    def _stage(self, stage: MethodStage, decision: CacheDecision) -> None:
        """Trains a stage; all but the method's last leave their student in their folder, and are skipped once done."""
        if stage is self.job.method.stages[-1]:
            self._train(stage, decision)
            return
        result, record = self.root / stage.folder / STUDENT, f"{stage.folder}/stage.json"
        told = self.storage.read_json(record) or {}
        if is_whole(self.storage, told.pop("files", None)):
            self.reporter.message(f"{stage.name}: done already")
            self.results[stage.name] = StageResult(**told)
        else:
            if result.is_dir():
                self.reporter.warning(f"{result}: damaged, or not all there; the {stage.name} stage is done again")
            self._train(stage, decision)
            if self.ranks.main:
                publish_folder(result, self._save)
                names = [f"{stage.folder}/{STUDENT}/{path.name}" for path in sorted(result.iterdir())]
                files = digests(self.storage, names)
                self.storage.write_json(record, {**asdict(self.results[stage.name]), "files": files})
            self.reporter.message(f"{stage.name}: {self.results[stage.name].steps:,} steps done")
        if self.ranks.main:
            drop_checkpoints(self.root / stage.folder)  # a kill may have left some
        self.ranks.wait()
        self.models.student = self.job.load_student(self.models, str(result))

    def _train(self, stage: MethodStage, decision: CacheDecision) -> None:
        job, machine, seed = self.job, self.job.request.machine, self.job.request.reading.seed
        kept = decision.contents.get(stage.name, OFF)
        stream = job.stream(stage, self.storage, cached=kept != OFF)
        if self.models.teacher is not None and (stage.reads, kept) not in self.targets:
            teacher = self.models.teacher
            self.targets[stage.reads, kept] = open_targets(job.cache, teacher, stream, kept, self.caches, self.ranks)
        dev = job.dev(self.storage) if stage.selects else None
        settings = replace(train_settings(stage.recipe, machine, seed), warmup_steps=stage.warmup_steps)
        state = train_stage(
            stage, stage.objective(self.models.student, self.models.teacher), stream,
            self.targets.get((stage.reads, kept)), self.root / stage.folder, settings, dev, self.reporter,
        )  # fmt: skip
        seconds = round(state.seconds, 1)
        self.results[stage.name] = StageResult(
            state.step, state.examples, len(stream), seconds, state.best_step, state.graph_steps
        )

    def _publish(self) -> None:
        job, student = self.job, self.models.student
        taught = job.method.stages[-1].name in self.results
        self.dev = job.finish(student.model, self.storage, self.reporter, taught)
        files = publish(self.storage, self._save)
        self.storage.write_json(METRICS, {**asdict(job.metrics(self._result())), "files": files})
        drop_working_files(self.root, [stage.folder for stage in job.method.stages])

    def _save(self, folder: Path) -> None:
        """Writes the student as it is now, with its card, as a folder that transformers loads without our code."""
        from distill.saving import save_model

        job, student = self.job, self.models.student
        projections = student.projections if job.method.projections else None
        if job.max_length is not None:
            job.tokenizer.model_max_length = job.max_length
        save_model(job.saved(student.model), job.tokenizer, folder, projections)
        (folder / "README.md").write_text(job.card(self._result()), encoding="utf-8")

    def _result(self) -> Result:
        parameters = self.job.saved(self.models.student.model).num_parameters()
        taught = self.job.method.stages[-1].name in self.results
        return Result(
            self.dev, self.results, self.resolved, parameters, self.models.teacher_parameters, taught, self.root
        )
