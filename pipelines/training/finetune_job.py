"""`tinyaug finetune`: an encoder or masked LM becomes a teacher for a task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from distill.stores import without_credentials
from pipelines.distilling.checks import TeacherFiles, find_files
from pipelines.methods.finetune import finetune
from pipelines.models.load import check_classes, load_task_model, move, name_labels
from pipelines.run_folder.address import shown_address
from pipelines.run_folder.identity import task_content
from pipelines.run_folder.run_file import Identity, InputDigest
from pipelines.squad.fitting import check_spans
from pipelines.training.job import Models
from pipelines.training.model_card import classifier_card
from pipelines.training.parts import open_data
from pipelines.training.results import Metrics, Result, StageResult
from pipelines.training.task_job import TaskJob

if TYPE_CHECKING:
    from distill.metrics import Scores
    from pipelines.found import Found
    from pipelines.training.request import FinetuneRequest


@dataclass(frozen=True, kw_only=True)
class FinetuneMetrics(StageResult, Metrics):
    """What metrics.json says.

    Args:
        task: its name.
        dev: part -> metric -> value.
        selected_by: the metric that chose the best epoch; None without a dev part.
        truncated_share: of the rows that are longer than the model is given.
    """

    task: str
    dev: Scores
    selected_by: str | None
    truncated_share: float | None


class FinetuneJob(TaskJob):
    """The job of `finetune`.

    Attributes:
        files: of the encoder; its configuration has the task's labels.
    """

    request: FinetuneRequest
    kind, role = "finetune", ""
    advice = "try more epochs, another learning rate or more rows"
    files: TeacherFiles

    def __init__(self, request: FinetuneRequest, found: Found, stand_in_rows: int | None = None) -> None:
        super().__init__(request, finetune(request), found)
        self.stand_in_rows, self.provisional = stand_in_rows, stand_in_rows is not None

    def check(self, started: Any = None) -> None:  # noqa: ARG002
        """Finds task and encoder."""
        from distill.checks import check_length, check_vocabulary_size

        request, self.data = self.request, open_data(self.request.data, self.found)
        check_classes(self.data.task, "fine-tune")
        self.check_rows()
        self.files = find_files(request.model, request.revision, "encoder", self.found)
        check_spans(self.data.task, self.files.config, f"encoder {request.model}")
        self.tokenizer = self.files.tokenizer
        name_labels(self.files.config, self.data.task)
        check_vocabulary_size(self.files.config, self.tokenizer, "encoder")
        check_length(self.files.config, request.reading.max_length, "encoder")

    def identity(self) -> Identity:
        """Recipe, data and encoder."""
        request, data, found = self.request, self.data, self.files.found
        return Identity(
            settings={
                **self.method.settings,
                "reading": asdict(request.reading),
                "precision": request.machine.precision,
                **self.chosen_rows(),
            },
            task=task_content(data.task),
            inputs={"data": data.inputs(("train", *data.dev_parts))} if self.train is None else self._inputs(),
            models={"encoder": found.fingerprint},
            sources={
                **self.data_sources(),
                **({"train": without_credentials(request.train)} if request.train else {}),
                "model": request.model,
                "model_revision": found.revision,
                "device": request.machine.device,
            },
        )

    def _inputs(self) -> dict[str, list[InputDigest]]:
        return {"train": self.train_inputs(), "dev": self.data.inputs(self.data.dev_parts)}

    def load(self) -> Models:
        """The encoder with a head for the task."""
        from distill.projections import Projections
        from distill.student import Student

        model = load_task_model(self.files.found, self.files.config, self.data.task, self.request.reading.seed)
        move(model, self.request.machine.device)
        return Models(Student(model, Projections(1, 1)))

    def card(self, result: Result) -> str:
        """What it was made of."""
        name, recipe, [told] = self.data.task.name, self.request.recipe, result.stages.values()
        facts: dict[str, str | float] = {
            "encoder": f"`{self.request.model}`",
            "task": name,
            "examples": f"{told.rows:,}",
            **({"learnt from": shown_address(self.request.train)} if self.request.train else {}),
            **({"left out": self.kept.words} if self.kept is not None else {}),
            "epochs": recipe.epochs,
            "steps": f"{told.steps:,}",
            "batch": recipe.batch_rows,
            "learning rate": recipe.learning_rate,
            "max_length": self.shown_length(result),
            "seed": self.request.reading.seed,
        }
        what = "model that finds answers in texts" if self.data.task.label.is_span else "text classifier"
        about = f"A {what} for {name}, fine-tuned by `tinyaug finetune`."
        return classifier_card(f"{name} teacher", about, facts, self.data.task, result.dev, self.method.tags)

    def metrics(self, result: Result) -> FinetuneMetrics:
        """Those of its one stage."""
        [told] = result.stages.values()
        selected_by, truncated = self.selected_by(result.dev), result.resolved.truncated_share
        return FinetuneMetrics(
            **asdict(told), task=self.data.task.name, dev=result.dev, selected_by=selected_by, truncated_share=truncated
        )
