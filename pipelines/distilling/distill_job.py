"""`tinyaug distill`: a student learns from a teacher that was fine-tuned for the task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from distill.checks import check_vocabularies
from distill.stores import without_credentials
from pipelines.distilling.checks import TeacherFiles, check_teacher, find_files
from pipelines.distilling.results import DistillMetrics, TrimmedMetrics
from pipelines.distilling.sizing import Chosen, choose_shape
from pipelines.distilling.soft_labels import check_method, find_soft_labels
from pipelines.distilling.student_job import StudentJob
from pipelines.distilling.trimming import Trimmed, check_trim, trim_student, used_pieces
from pipelines.distilling.word_student import WordPlan, build_word_student, plan_word_student
from pipelines.errors import UserError
from pipelines.evaluating.label_order import load_in_order
from pipelines.evaluating.teacher_check import judge_teacher
from pipelines.methods.names import METHODS
from pipelines.models.load import check_classes, move, name_labels, pack_teacher
from pipelines.options.models import FIRST_LAYERS, RANDOM
from pipelines.options.option import flag
from pipelines.options.teacher_cache import CacheChoice, Keep
from pipelines.reporting import Silent
from pipelines.run_folder.address import shown_address
from pipelines.run_folder.identity import task_content
from pipelines.squad.fitting import check_asked, check_spans
from pipelines.teacher_cache.room import check_cache_place
from pipelines.training.job import Models
from pipelines.training.model_card import classifier_card
from pipelines.training.parts import open_data
from pipelines.training.results import Resolved, Result
from pipelines.training.task_job import TaskJob

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.metrics import Scores
    from distill.shards import ShardStream
    from distill.soft_labels import SoftLabels
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.found import Found
    from pipelines.reporting import Reporter
    from pipelines.run_folder.run_file import Identity
    from pipelines.run_folder.storage import Storage
    from pipelines.training.estimates import Told
    from pipelines.training.request import DistillRequest

UNTAUGHT = "The student after intermediate distillation; its head has learnt nothing yet."


@dataclass(frozen=True)
class StandIns:
    """What a plan of `tinyaug run` takes in place of what earlier stages have not made yet.

    Args:
        teacher: the encoder that the teacher will be made from; its head is drawn. None where the teacher is there.
        rows: of the shards; the task's train part stands in for them. None where they are there.
        shape: of the student that will be made from a corpus; drawn weights stand in for it. Empty where it is there.
    """

    teacher: TeacherFiles | None = None
    rows: int | None = None
    shape: str = ""


class DistillJob(StudentJob, TaskJob):
    """The job of `distill`."""

    request: DistillRequest
    soft_labels: SoftLabels | None = None
    chosen: Chosen | None = None
    trimmed: Trimmed | None = None
    kind, role = "distill", "student: "
    advice = "try more epochs, other learning rates, more rows or another --student-init"

    def __init__(
        self, request: DistillRequest, found: Found, judged: Scores | None = None, stand_ins: StandIns | None = None
    ) -> None:
        self.judged, self.stand_ins = judged or {}, stand_ins or StandIns()
        if self.stand_ins.shape:
            request = replace(request, start=RANDOM, student=self.stand_ins.shape)
        cache = request.cache if request.soft_labels is None else CacheChoice(mode=Keep.off)
        super().__init__(request, METHODS[request.method].build(request), found, cache)
        self.provisional, self.stand_in_rows = self.stand_ins != StandIns(), self.stand_ins.rows

    def check(self, started: Any = None) -> None:  # noqa: ARG002
        """Finds task, rows, teacher and student; labels, vocabularies, heads, lengths and layer map must fit."""
        request = self.request
        check_cache_place(request.cache)
        self.data = open_data(request.data, self.found)
        check_asked(self.data.task, request)
        self.cache = self._cache_of_task()
        check_classes(self.data.task)
        self.check_rows()
        self.teacher = self.stand_ins.teacher or find_files(
            request.teacher, request.teacher_revision, "teacher", self.found, self.method.of_logits
        )
        if request.soft_labels is not None:  # the teacher is any encoder
            check_method(request, self.method)
            name_labels(self.teacher.config, self.data.task)
        check_teacher(self.teacher, self.data, request.reading.max_length)
        if request.size.targets:
            self.chosen = self.found.measured(
                ("student", request.teacher, *request.size.targets.items()),  # its baselines have the same shape
                lambda: choose_shape(request, self.teacher, self.data),
            )
            self.request = replace(request, student=self.chosen.shape)
        self.plan_student()
        if request.size.share is not None:
            check_trim(self.tokenizer, self.data.task, self.student.shape)
        check_spans(self.data.task, self.student.config, f"student {self.student.shape}")
        if self.data.task.label.is_span:  # logits belong to tokens, and both are judged by the same windows
            check_vocabularies(self.teacher.tokenizer, self.tokenizer)
        if request.soft_labels is not None and self.train is not None:
            self.soft_labels = find_soft_labels(self.train, request.soft_labels, self.data, self.teacher)
        elif self.tokenizer is not self.teacher.tokenizer:
            self.other_tokenizer = self.teacher.tokenizer

    def plan_student(self) -> None:
        """As of any student, or one of word vectors.

        Raises:
            UserError, DistillError, VectorsError: it cannot be had, or does not fit.
        """
        if METHODS[self.request.method].encoder:
            super().plan_student()
            return
        self.student = plan_word_student(self.request, self.data, self.teacher, self.found)
        self.tokenizer, self.layer_map = self.student.tokenizer, ()

    def _cache_of_task(self) -> CacheChoice:
        """What is kept of the teacher: of SQuAD, whose logits belong to tokens, nothing.

        Raises:
            UserError: it was asked for.
        """
        cache = self.cache
        if not self.data.task.label.is_span or cache.mode == Keep.off:
            return cache
        typed = [f"--cache {cache.mode}"] if cache.mode != Keep.auto else []
        typed += [flag(CacheChoice, name) for name in ("budget", "folder", "rebuild") if cache.has(name)]
        if typed:
            raise UserError(
                f"{' and '.join(typed)}: expected no teacher cache for {self.data.task.name}, whose answers are places "
                "in a text: a cache keeps no logits of tokens; leave it out"
            )
        return CacheChoice(mode=Keep.off)

    def identity(self) -> Identity:
        """Method, data, teacher and student."""
        request, data = self.request, self.data
        sources = {**self.data_sources(), "train": without_credentials(request.train) if request.train else None}
        if request.start == FIRST_LAYERS:
            sources["encoder"] = request.encoder
        inputs = {"train": self.train_inputs(), "dev": data.inputs(data.dev_parts)}
        found = self.identity_with(task_content(data.task), inputs, sources)
        more = {"soft_labels": request.soft_labels, "size": request.size.asked or None}
        own = {name: value for name, value in more.items() if value is not None}
        return replace(found, settings=found.settings | own | self.chosen_rows())

    def load(self) -> Models:
        """Teacher and student."""
        teacher, plan = self.load_teacher(), self.student
        models = Models(self._build(plan.shape, plan.start, teacher), teacher, teacher.model.num_parameters())
        pack_teacher(teacher)
        return models

    def load_teacher(self) -> Teacher:
        """The teacher in eval mode, its weights not packed yet."""
        from distill.soft_labels import SoftTeacher
        from distill.teacher import Precision, Teacher

        files, is_drawn = self.teacher, self.stand_ins.teacher or self.soft_labels
        model = load_in_order(
            files.found, files.config, self.data.task, self.request.reading.seed if is_drawn else None
        )
        move(model, self.request.machine.device)
        if self.soft_labels is not None:
            return SoftTeacher(model, self.soft_labels)
        return Teacher(model, self.layer_map, Precision(self.request.machine.precision))

    def load_student(self, models: Models, folder: str) -> Student:
        """The student as a stage left it."""
        return self._build(folder, folder, models.teacher)

    def _build(self, shape: str, start: str, teacher: Teacher) -> Student:
        from distill.student import build_student

        plan, seed = self.student, self.request.reading.seed
        if isinstance(plan, WordPlan):
            student = build_word_student(plan, seed)
        else:
            encoder = str(plan.found.folder) if start == FIRST_LAYERS and plan.found is not None else None
            student = build_student(shape, start, teacher.model, plan.layer_map, seed, encoder=encoder)
        name_labels(student.model.config, self.data.task)
        move(student.model, self.request.machine.device)
        return student

    def tell(self, storage: Storage, stream: ShardStream) -> Told:
        """As of every task, and of the student."""
        told = super().tell(storage, stream)
        chosen = self.chosen.lines if self.chosen else ()
        return replace(told, facts=chosen + told.facts, notes=told.notes + self.notes())

    def resolve(self, storage: Storage, models: Models, reporter: Reporter) -> Resolved:
        """Judges the teacher, unless this command has done so."""
        judged = self.judged
        if self.soft_labels is not None:
            kind = "probabilities" if self.soft_labels.probable else "logits"
            reporter.message(f"soft labels: {kind} of column {self.soft_labels.column}; no teacher is run")
        elif not judged:
            judged = judge_teacher(models.teacher.model, self.teacher, self.data, self.request, reporter, storage)
        return Resolved(self.layer_map, self.student.start, judged)

    def finish(self, model: PreTrainedModel, storage: Storage, reporter: Reporter, taught: bool) -> Scores:
        """As of any model; where its vocabulary is to be trimmed, before and after that, and told of once."""
        if (share := self.request.size.share) is None:
            return super().finish(model, storage, reporter, taught)
        scores = super().finish(model, storage, Silent(), taught)
        used = used_pieces(self.stream(stage, storage) for stage in self.method.trained)
        self.tokenizer, self.trimmed = trim_student(model, self.tokenizer, used, share, scores)
        return super().finish(model, storage, reporter, taught)

    def card(self, result: Result) -> str:
        """What it was made of."""
        request, task = self.request, self.data.task
        facts: dict[str, str | float] = {
            **({"teacher": f"`{request.teacher}`"} if request.soft_labels is None else {}),
            "student": self.described,
            **({"chosen as": f"the largest measured within {request.size.shown}"} if self.chosen else {}),
            **({"vocabulary": str(self.trimmed)} if self.trimmed else {}),
            "layer map": ", ".join(map(str, self.layer_map)) or "none",
            **({"soft labels": f"column {request.soft_labels}"} if request.soft_labels else {}),
            "learnt from": shown_address(request.train) if request.train else f"the train part of {task.name}",
            **({"left out": self.kept.words} if self.kept is not None else {}),
            **self.method.facts,
            **{stage.name: str(stage.recipe) for stage in self.method.stages},
            "max_length": self.shown_length(result),
            "seed": request.reading.seed,
        }
        how = "distilled" if any(stage.kept is not None for stage in self.method.stages) else "fine-tuned on labels"
        of = f"`{request.teacher}`" if request.soft_labels is None else f"the column `{request.soft_labels}`"
        about = f"A student of {of}, {how} by `tinyaug distill`." if result.taught else UNTAUGHT
        registers = None if METHODS[request.method].encoder else "distill.bilstm"
        title = f"{task.name} student"
        return classifier_card(title, about, facts, task, result.dev, self.method.tags, registers)

    def metrics(self, result: Result) -> DistillMetrics:
        """Scores of student and teacher, and what came of each stage."""
        last = result.stages.get(self.method.stages[-1].name)
        kind = DistillMetrics if self.trimmed is None else partial(TrimmedMetrics, trimmed=self.trimmed)
        return kind(
            task=self.data.task.name,
            dev=result.dev,
            teacher_dev=result.resolved.teacher_dev or {},
            selected_by=self.selected_by(result.dev),
            best_step=last.best_step if last else None,
            layer_map=result.resolved.layer_map or (),
            truncated_share=result.resolved.truncated_share,
            parameters={"student": result.parameters, "teacher": result.teacher_parameters},
            stages=result.stages,
        )
