"""What the jobs share in which a student learns from a teacher."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipelines.distilling.checks import StudentPlan, TeacherFiles, plan_student
from pipelines.distilling.word_student import WordPlan
from pipelines.errors import UserError
from pipelines.options.models import FIRST_LAYERS, TEACHER_LAYERS
from pipelines.run_folder.run_file import Identity
from pipelines.training.estimates import idle_embeddings_note, layer_map_note
from pipelines.training.job import Job

if TYPE_CHECKING:
    from pipelines.general.request import GeneralRequest
    from pipelines.training.request import DistillRequest

UNTELLING = ("transformers_version", "_name_or_path", "dtype", "architectures")  # of a configuration


class StudentJob(Job):
    """A job that makes a student.

    Attributes:
        teacher: its files; known once `check` has passed, as what follows.
        student: what will be built.
    """

    request: DistillRequest | GeneralRequest
    teacher: TeacherFiles
    student: StudentPlan

    def plan_student(self) -> None:
        """Checks the student against its teacher, once that was found.

        Raises:
            UserError, DistillError: they do not fit.
        """
        method = self.method
        compares_scores = any(stage.kept is not None and stage.kept.scores for stage in method.trained)
        self.student = plan_student(
            self.request,
            self.teacher,
            compares_scores,
            self.found,
            maps=method.layers is None,
            of_logits=method.of_logits,
        )
        self.tokenizer, self.layer_map = self.student.tokenizer, self.student.layer_map
        mine, theirs = self.student.config, self.teacher.config
        if method.equal_widths and mine.hidden_size != theirs.hidden_size:
            raise UserError(
                f"--method {self.request.method}: expected a student of the teacher's width ({theirs.hidden_size}), "
                f"found {mine.hidden_size} in {self.student.shape}; give --student layers:N"
            )
        if method.layers is not None:
            self.layer_map = () if method.of_logits else method.layers(mine.num_hidden_layers, theirs.num_hidden_layers)

    def identity_with(self, task: Any, inputs: dict[str, list[Any]], sources: dict[str, str | None]) -> Identity:
        """All that decides what comes of it: method, teacher and student, and the data of the verb.

        Args:
            task: as plain data.
            inputs: part -> what tells its files.
            sources: of the data.
        """
        from distill.tokens import tokenizer_fingerprint, tokenizer_json

        request, plan, config = self.request, self.student, self.student.config.to_dict()
        role = "encoder" if request.start == FIRST_LAYERS else "student"
        found = {"teacher": self.teacher.found, **({role: plan.found} if plan.found is not None else {})}
        student = {  # all that decides its weights, which a fingerprint does where they are found
            "config": {name: value for name, value in config.items() if name not in UNTELLING},
            "start": request.start if plan.found is None else None,
            "layer_map": plan.layer_map,
        }
        if plan.tokenizer is not self.teacher.tokenizer:
            student["tokenizer"] = tokenizer_fingerprint(tokenizer_json(plan.tokenizer))
        if isinstance(plan, WordPlan):
            student["vectors"], sources = plan.vectors.fingerprint, {**sources, "glove": plan.vectors.name}
        return Identity(
            settings={
                "student": student,
                **self.method.settings,
                "cache": {"mode": request.cache.mode, "budget": request.cache.budget},
                "reading": asdict(request.reading),
                "precision": request.machine.precision,
            },
            task=task,
            inputs=inputs,
            models={role: model.fingerprint for role, model in found.items()},
            sources={
                **sources,
                "teacher": request.teacher,
                **{f"{role}_revision": model.revision for role, model in found.items()},
                "student": plan.shape,
                "student_init": request.start,
            },
        )

    @property
    def described(self) -> str:
        """The student's shape and start in words."""
        config = self.student.config
        if isinstance(self.student, WordPlan):
            name, words = self.student.vectors.name, f"{config.vocab_size:,} words"
            return f"a bidirectional LSTM of {config.hidden_size} units a direction over {words} of {name}"
        shape = f"{config.num_hidden_layers} layers, width {config.hidden_size}, {config.num_attention_heads} heads"
        copied = f" {', '.join(map(str, self.student.layer_map))}" if self.request.start == TEACHER_LAYERS else ""
        return f"{shape}, started from {self.request.start}{copied}"

    def notes(self) -> tuple[str, ...]:
        """What the user may not have meant of the student."""
        vocabulary = self.student.config.vocab_size
        return layer_map_note(self.layer_map) + idle_embeddings_note(vocabulary, len(self.tokenizer))
