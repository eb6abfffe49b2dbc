"""`tinyaug distill`: a student learns a teacher's layers, then its predictions (sections 3 and 4 of the paper)."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipelines.distilling.card import listed_layers, student_card
from pipelines.distilling.checks import check_disk, check_distill
from pipelines.distilling.content import INTERMEDIATE, PREDICTION, distill_content
from pipelines.distilling.plan import plan_distill
from pipelines.distilling.session import (
    load_student,
    load_teacher,
    loss_settings,
    open_targets,
    training_rows,
    training_stream,
)
from pipelines.evaluating.dev_scores import Predictor, dev_of, evaluate_parts, metrics_of
from pipelines.evaluating.teacher_check import judge_teacher
from pipelines.models.load import move
from pipelines.run_folder.run_file import undone_if_refused
from pipelines.run_folder.stage_folder import (
    METRICS,
    RUN,
    digests,
    drop_checkpoints,
    finished_metrics,
    is_whole,
    publish,
    publish_folder,
    refuse_other_run,
    stage_storage,
    started_run,
)
from pipelines.tasks.label_counts import label_report
from pipelines.teacher_cache.room import OFF, claim_caches, warn_of_rebuild
from pipelines.training.finetune_job import Trained
from pipelines.training.loop import train_settings, train_stage
from pipelines.training.parts import write_part
from pipelines.training.ranks import Ranks
from pipelines.training.saving import save_model
from pipelines.training.step_parts import with_parts
from pipelines.training.teacher_kernel import pack_teacher

if TYPE_CHECKING:
    from pathlib import Path

    from distill.checkpoints import RunState
    from distill.metrics import Scores
    from distill.objectives import Stage
    from distill.student import Student
    from distill.targets import Targets
    from distill.teacher import Teacher
    from pipelines.distilling.checks import CheckedDistill
    from pipelines.found import Found
    from pipelines.general.request import GeneralRequest
    from pipelines.reporting import Reporter
    from pipelines.run_folder.storage import Storage
    from pipelines.training.estimates import TrainingEstimate
    from pipelines.training.loop import Dev
    from pipelines.training.recipe import StageRecipe
    from pipelines.training.request import DistillRequest

UNTAUGHT = "The student after intermediate distillation; its head has learnt nothing yet."
STUDENT = "student"  # what the intermediate stage leaves, in its folder


def run_distill(
    request: DistillRequest,
    reporter: Reporter,
    found: Found,
    profile: str | None = "paper",
    judged: Scores | None = None,
) -> Trained:
    """Distils, going on where an earlier run of the same command stopped.

    Args:
        request: what the user asked for.
        reporter: is told of progress.
        found: what the command has found already.
        profile: what it was made from, for advice; None where a long run was announced already.
        judged: the teacher's dev metrics, where this command has judged it already.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError: a mistake of the user's; nothing was trained.
        JobError: training failed; the last checkpoint is kept.
    """
    storage = stage_storage(request.out, "a model")
    request = with_parts(request, started_run(storage, "distill", overwrite=False))
    checked = check_distill(request, found)
    content = distill_content(request, checked)
    ranks = Ranks(request.machine.device == "cpu")
    with ranks.writing(storage, reporter):
        done = None if request.overwrite else finished_metrics(storage)
        if ranks.main:
            started = started_run(storage, "distill", request.overwrite)
            if started is not None:
                refuse_other_run(storage, started, content, done is not None)
            warn_of_rebuild(request.cache, started, reporter)
            for stage in (INTERMEDIATE, PREDICTION) if done is not None else ():
                drop_checkpoints(storage.local_folder() / stage)  # a kill may have left some
        if done is not None:
            return Trained(storage, done, False)
        return _Distillation(request, checked, storage, ranks, reporter).run(content, profile, judged or {})


def cache_root(request: DistillRequest | GeneralRequest, storage: Storage) -> Path:
    """Where the caches lie: in folders named by their content."""
    return request.cache.folder or storage.local_folder() / "teacher_cache"


class _Distillation:
    """One run, with its models loaded."""

    def __init__(
        self,
        request: DistillRequest,
        checked: CheckedDistill,
        storage: Storage,
        ranks: Ranks,
        reporter: Reporter,
    ) -> None:
        self.request, self.checked, self.storage, self.ranks = request, checked, storage, ranks
        self.reporter = ranks.reporter(reporter)
        self.root = storage.local_folder()
        self.caches = cache_root(request, storage)
        self.teacher: Teacher = load_teacher(request, checked)
        self.student: Student = self._load_student()
        self.teacher_parameters = self.teacher.model.num_parameters()
        pack_teacher(self.teacher)
        self.stages: dict[str, Any] = {}
        self.targets: dict[str, Targets] = {}  # by content of the cache: both stages read one that was checked once

    def run(self, content: dict[str, Any], profile: str | None, judged: Scores) -> Trained:
        """Preflight, then stage after stage."""
        from distill.folder_lock import folder_lock

        if self.ranks.main:
            with undone_if_refused(self.storage, fresh=self.storage.read_json(RUN) is None):
                self._begin(content, profile, judged)
        self.ranks.wait()
        self.place = training_rows(self.request, self.checked, self.storage)
        resolved: dict[str, Any] = (self.storage.read_json(RUN) or {})["resolved"]
        listed = listed_layers(resolved["layer_map"])
        self.reporter.message(f"layer map: the student's layers learn from teacher layers {listed}")
        self.reporter.message(resolved["cache"]["words"])
        kept = {resolved["cache"][stage] for stage in (INTERMEDIATE, PREDICTION)} != {OFF}
        with folder_lock(self.caches) if kept and self.ranks.main else nullcontext():
            self.ranks.wait()
            if self.request.intermediate.epochs:
                self._intermediate(resolved["cache"][INTERMEDIATE])
            last = self._prediction(resolved["cache"][PREDICTION]) if self.request.prediction.epochs else None
        if self.ranks.main:
            self._publish(resolved, last)
        self.ranks.wait()
        return Trained(self.storage, self.storage.read_json(METRICS) or {}, True)

    def _begin(self, content: dict[str, Any], profile: str | None, judged: Scores) -> None:
        """Writes what all ranks then find; on a first start the preflight resolves what run.json keeps for resumes."""
        request, checked, storage = self.request, self.checked, self.storage
        started = storage.read_json(RUN)
        if started is None:
            storage.write_json(RUN, content)  # first of all: it says whose folder this is
        places = {part: write_part(storage, checked.data, part) for part in checked.data.dev_parts}
        place = training_rows(request, checked, storage)
        if started is not None and "resolved" in started:
            return
        if not judged:
            judged = judge_teacher(self.teacher.model, checked.teacher, checked.data, request, self.reporter, storage)
        plan = plan_distill(request, checked, self.teacher, self.student, place, self.caches)
        check_disk(self.caches, plan.estimate.cache_bytes, "the teacher cache")
        check_disk(self.root, plan.estimate.disk_bytes, "checkpoints and models")
        contents = {plan.cache.intermediate, plan.cache.prediction}
        stream = training_stream(request, checked, place, request.prediction.batch_rows)
        claim_caches(request.cache, self.teacher, stream, contents, self.caches)
        if checked.train is None:
            places = {"train": write_part(storage, checked.data, "train"), **places}
        self._say_what_is_read(plan.estimate, places)
        if profile is not None and (warning := plan.estimate.warning(request.machine.device, profile)):
            self.reporter.warning(warning)
        resolved = {
            "layer_map": checked.student.layer_map,
            "student_start": checked.student.start,
            "cache": asdict(plan.cache),
            "device": request.machine.device,
            "teacher_dev": judged,
            "truncated_share": plan.truncated,
            "estimated_seconds": round(plan.estimate.seconds, 1),
        }
        storage.write_json(RUN, {**(started or content), "resolved": resolved})

    def _say_what_is_read(self, estimate: TrainingEstimate, places: dict[str, str]) -> None:
        """Classes of the parts that lie there, what is cut of the texts, and what the user may not have meant."""
        estimate = estimate.with_labels(label_report(self.checked.data.task, places))
        for fact in estimate.facts:
            self.reporter.message(fact)
        for note in estimate.notes:
            self.reporter.warning(note)

    def _intermediate(self, content: str) -> None:
        from distill.objectives import IntermediateStage

        result, record = self.root / INTERMEDIATE / STUDENT, f"{INTERMEDIATE}/stage.json"
        told = self.storage.read_json(record) or {}
        if not is_whole(self.storage, told.pop("files", None)):
            if result.is_dir():
                self.reporter.warning(f"{result}: damaged, or not all there; the intermediate stage is done again")
            stage = IntermediateStage(self.student, self.teacher, loss_settings(self.request))
            state = self._train(stage, self.request.intermediate, content, None)
            if self.ranks.main:
                text = self._card({}, UNTAUGHT)
                model, tokenizer = self.student.model, self.checked.teacher.tokenizer
                projections, length = self.student.projections, self.request.reading.max_length
                publish_folder(result, lambda folder: save_model(folder, model, tokenizer, text, projections, length))
                names = [f"{INTERMEDIATE}/{STUDENT}/{path.name}" for path in sorted(result.iterdir())]
                files = digests(self.storage, names)
                self.storage.write_json(record, {**self.stages[INTERMEDIATE], "files": files})
                drop_checkpoints(self.root / INTERMEDIATE)
            self.reporter.message(f"intermediate: {state.step:,} steps done")
            self.ranks.wait()
        else:
            self.reporter.message("intermediate: done already")
            if self.ranks.main:
                drop_checkpoints(self.root / INTERMEDIATE)  # a kill may have left some
            self.stages[INTERMEDIATE] = told
        self.student = self._load_student(str(result))

    def _prediction(self, content: str) -> RunState:
        from distill.objectives import PredictionStage

        reading, checked = self.request.reading, self.checked
        dev = dev_of(self.storage, checked.data, checked.teacher.tokenizer, reading.max_length)
        if dev is None:
            self.reporter.warning("no labelled dev part: the last epoch is kept, not the best one")
        stage = PredictionStage(self.student, self.teacher, loss_settings(self.request))
        return self._train(stage, self.request.prediction, content, dev)

    def _train(self, stage: Stage, recipe: StageRecipe, content: str, dev: Dev | None) -> RunState:
        request = self.request
        stream = training_stream(request, self.checked, self.place, recipe.batch_rows)
        if content not in self.targets:
            self.targets[content] = open_targets(request, self.teacher, stream, content, self.caches, self.ranks)
        targets = self.targets[content]
        settings = train_settings(recipe, request.machine, request.reading.seed)
        examples = recipe.examples(len(stream), request.reading.seed)
        state = train_stage(stage, stream, targets, self.root / stage.name, settings, dev, self.reporter, examples)
        self.stages[stage.name] = {
            "steps": state.step,
            "examples": state.examples,
            "rows": len(stream),
            "seconds": round(state.seconds, 1),
            "best_step": state.best_step,
        }
        return state

    def _publish(self, resolved: dict[str, Any], state: RunState | None) -> None:
        checked, reading, model = self.checked, self.request.reading, self.student.model
        tokenizer = checked.teacher.tokenizer
        found: Scores = {}
        about = UNTAUGHT
        if state is not None:
            about = f"A student of `{self.request.teacher}`, distilled by `tinyaug distill`."
            advice = "try more epochs, other learning rates, more rows or another --student-init"
            predictor = Predictor(model, tokenizer, reading.max_length, self.request.machine.precision)
            found = evaluate_parts(predictor, self.storage, checked.data, self.reporter, "student: ", advice)
        text = self._card(found, about)
        projections, length = self.student.projections, reading.max_length
        files = publish(self.storage, lambda folder: save_model(folder, model, tokenizer, text, projections, length))
        task = checked.data.task
        metrics = {
            "task": task.name,
            "dev": found,
            "teacher_dev": resolved["teacher_dev"],
            "selected_by": str(metrics_of(task)[0]) if found else None,
            "best_step": state.best_step if state else None,
            "layer_map": resolved["layer_map"],
            "truncated_share": resolved.get("truncated_share"),
            "parameters": {
                "student": model.num_parameters(),
                "teacher": self.teacher_parameters,
            },
            "stages": self.stages,
            "files": files,
        }
        self.storage.write_json(METRICS, metrics)
        drop_checkpoints(self.root / PREDICTION)

    def _card(self, found: Scores, about: str) -> str:
        truncated = (self.storage.read_json(RUN) or {})["resolved"].get("truncated_share")
        return student_card(self.request, self.checked, found, about, truncated)

    def _load_student(self, start: str = "") -> Student:
        student = load_student(self.request, self.checked, self.teacher, start)
        move(student.model, self.request.machine.device)
        return student
