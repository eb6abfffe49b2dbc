"""What a user asks of the training verbs; plain values, checked when built, nothing heavy imported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.distilling.teaching import CacheChoice, LossChoice
from pipelines.errors import UserError
from pipelines.machine.precision import check_precision
from pipelines.training.recipe import MAX_LENGTH, StageRecipe

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.tasks import CustomOptions


@dataclass(frozen=True)
class DataChoice:
    """The task and where its parts lie.

    Args:
        task: name of the task.
        data: the user's files; None for the hub.
        custom: columns of a custom task.
        revision: of the data set on the hub.
        skip_bad_rows: leave out rows of the train part that cannot be read: a stage before has written them down.

    Raises:
        UserError: labels of a custom task whose own parts, which would have them, were not named.
    """

    task: str
    data: Path | None = None
    custom: CustomOptions | None = None
    revision: str | None = None
    skip_bad_rows: bool = False

    def __post_init__(self) -> None:
        if self.custom is None or self.data is not None:
            return
        if self.custom.label is not None:  # its type and names come with it
            raise UserError(
                f"--label {self.custom.label}: expected --data with the task's own files beside it, found none; add "
                "--data, or leave the label out: `tinyaug distill` needs none"
            )


@dataclass(frozen=True)
class Machine:
    """What a stage runs on.

    Args:
        device: `cpu` or `cuda`, resolved.
        precision: of matrix products, resolved: `fp32`, `tf32`, `bf16` or `fp16`.
        accumulation: parts that each process cuts its share of a step into; None for those that the run was begun
            with, or as many as are usual.
        checkpoint_every: steps after which a killed run goes on; an epoch's end is kept in any case.

    Raises:
        UserError: a value out of its range.
    """

    device: str = "cpu"
    precision: str = "fp32"
    accumulation: int | None = None
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        check_precision(self.precision, self.device, training=True)
        for option, value in (("accumulation", self.accumulation), ("checkpoint-every", self.checkpoint_every)):
            if value is not None and value < 1:
                raise UserError(f"--{option}: expected at least 1, found {value}")

    def check_parts(self, recipe: StageRecipe) -> None:
        """Refuses to cut a step into more parts than it has examples.

        Args:
            recipe: of a stage that is trained.

        Raises:
            UserError: naming the two numbers.
        """
        if recipe.epochs and (self.accumulation or 1) > recipe.batch_rows:
            raise UserError(
                f"--accumulation: expected at most {recipe.batch_rows}, the examples of a step, found "
                f"{self.accumulation}; lower it, or raise the batch size"
            )


@dataclass(frozen=True)
class Reading:
    """How texts become examples.

    Args:
        max_length: tokens at which texts are cut.
        train_rows: size of a random subset of the training rows; None for all.
        seed: of order, dropout, drawn weights and the subset.

    Raises:
        UserError: a value out of its range.
    """

    max_length: int = MAX_LENGTH
    train_rows: int | None = None
    seed: int = 42

    def __post_init__(self) -> None:
        if self.max_length < 8:
            raise UserError(f"--max-length: expected at least 8 tokens, found {self.max_length}")
        if self.train_rows is not None and self.train_rows < 1:
            raise UserError(f"--train-rows: expected at least 1, found {self.train_rows}")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"--seed: expected 0 to {2**31 - 1}, found {self.seed}")


@dataclass(frozen=True)
class FinetuneRequest:
    """A teacher to be made.

    Args:
        out: its folder.
        data: the task.
        model: folder or hub name of an encoder or masked LM.
        recipe: how it trains.
        revision: of the model on the hub.
        reading: how texts are read.
        machine: what it runs on.
        overwrite: start afresh in a folder of ours.
        named_rows: the rows of the subset where the user named them, and no profile: he is told where there are fewer.

    Raises:
        UserError: more parts of a step than it has examples.
    """

    out: str
    data: DataChoice
    model: str
    recipe: StageRecipe
    revision: str | None = None
    reading: Reading = field(default_factory=Reading)
    machine: Machine = field(default_factory=Machine)
    overwrite: bool = False
    named_rows: int | None = None

    def __post_init__(self) -> None:
        self.machine.check_parts(self.recipe)


@dataclass(frozen=True)
class DistillRequest:
    """A student to be made.

    Args:
        out: its folder.
        data: the task; its dev part selects the best epoch.
        train: folder or file of Parquet shards, such as runs/sst2/augmented; None for the task's train part.
        teacher: folder or hub name of the fine-tuned teacher.
        student: tinybert4, tinybert6, or a config.json.
        start: general, teacher-layers, random, or a folder.
        layer_map: uniform, top, bottom, or numbers.
        intermediate: recipe of the first stage.
        prediction: recipe of the second.
        teacher_revision: on the hub.
        losses: which parts of the loss count.
        cache: what is kept of the teacher's outputs.
        reading: how texts are read.
        machine: what it runs on.
        overwrite: start afresh in a folder of ours.
        named_rows: the rows of the subset where the user named them, and no profile: he is told where there are fewer.

    Raises:
        UserError: both stages are left out; options of one that is, or a loss of 0 of one that is not; more parts of a
            step than it has examples.
    """

    out: str
    data: DataChoice
    train: str | None
    teacher: str
    student: str
    start: str
    layer_map: str
    intermediate: StageRecipe
    prediction: StageRecipe
    teacher_revision: str | None = None
    losses: LossChoice = field(default_factory=LossChoice)
    cache: CacheChoice = field(default_factory=CacheChoice)
    reading: Reading = field(default_factory=Reading)
    machine: Machine = field(default_factory=Machine)
    overwrite: bool = False
    named_rows: int | None = None

    def __post_init__(self) -> None:
        if not self.intermediate.epochs and not self.prediction.epochs:
            raise UserError("expected a stage to train, found 0 epochs in both; raise one of them")
        for recipe in (self.intermediate, self.prediction):
            self.machine.check_parts(recipe)
        losses, plain = self.losses, LossChoice()
        of_layers = {
            "--losses": set(losses.kinds) != set(plain.kinds),
            "--layer-weights": (losses.layer_weights or (0,))[-1] == 1,  # else it is the prediction's that counts
            "--heads": losses.heads != plain.heads,
            "--cache full": self.cache.mode == "full",
            "--layer-map": self.layer_map != "uniform" and self.start != "teacher-layers",
        }
        self._refuse_idle("intermediate", of_layers)
        self._refuse_idle("prediction", {"--temperature": losses.temperature != plain.temperature})
        losses.refuse_idle_heads()
        for stage, is_learnt in (("intermediate", losses.of_layers), ("prediction", losses.of_predictions)):
            if getattr(self, stage).epochs and not is_learnt:
                losses.refuse_nothing(stage, f"leave the stage out with --epochs-{stage} 0")

    def _refuse_idle(self, stage: str, given: dict[str, bool]) -> None:
        """Refuses what only a stage that is left out would heed."""
        typed = [option for option, is_given in given.items() if is_given]
        if typed and not getattr(self, stage).epochs:
            raise UserError(
                f"--epochs-{stage} 0: expected no {' and no '.join(typed)} beside it, for that stage alone heeds it; "
                "leave one of them out"
            )


@dataclass(frozen=True)
class EvaluateRequest:
    """A model to be judged.

    Args:
        data: the task.
        model: folder or hub name of the model.
        revision: on the hub.
        submission: zip archive for the GLUE server; None for none.
        predictions: file for predictions on the dev parts (csv, tsv, jsonl, parquet); None for none.
        max_length: tokens at which texts are cut; None for what the model was trained with, else 128.
        batch_rows: examples of a forward pass.
        machine: what it runs on.
    """

    data: DataChoice
    model: str
    revision: str | None = None
    submission: Path | None = None
    predictions: Path | None = None
    max_length: int | None = None
    batch_rows: int = 64
    machine: Machine = field(default_factory=Machine)
