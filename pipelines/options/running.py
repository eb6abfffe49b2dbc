"""Options of the machine: engine and workers, device and precision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from pipelines.errors import UserError
from pipelines.machine.precision import AUTO, PRECISIONS, check_precision
from pipelines.options.option import COUNT, Options, Panel, flag, option

if TYPE_CHECKING:
    from pipelines.training.recipe import StageRecipe

Engine = StrEnum("Engine", ["auto", "ray", "local"])


def tokens(text: str) -> int | None:
    """Tokens of a forward pass; None for `auto`.

    Raises:
        ValueError: saying what is expected.
    """
    if text == AUTO:
        return None
    if not text.lstrip("-").isdecimal():
        raise ValueError("auto or a number of tokens")
    return int(text)


@dataclass(frozen=True, kw_only=True)
class Cluster(Options):
    """Where Ray runs."""

    panel = Panel.RUNNING
    address: str | None = option("Ray cluster to join; RAY_ADDRESS works, too.")


@dataclass(frozen=True, kw_only=True)
class Workers(Cluster):
    """What runs parts."""

    engine: Engine = option("What runs the workers; auto is Ray unless a single part is left.", Engine.auto)
    workers: int | None = option("Workers at once; by default what fits.", bounds=COUNT)


@dataclass(frozen=True, kw_only=True)
class EngineOptions(Workers):
    """What runs parts that a model computes."""

    threads: int = option("CPU threads of a worker.", 1, bounds=COUNT)
    mixed_hardware: bool = option("Accept parts made on several kinds of hardware.", False)


@dataclass(frozen=True, kw_only=True)
class OnDevice(Options):
    """Where models run, and in which precision.

    Attributes:
        trains: whether they learn, which a CPU cannot in every precision.

    Raises:
        UserError: a precision that the device lacks.
    """

    panel = Panel.RUNNING
    words = {"stage": "", "models": "the models", "auto": "fp32"}
    trains: ClassVar[bool] = True
    device: str = option("auto, cpu, cuda, or cuda:N for one of several GPUs.", AUTO)
    precision: str = option(
        "Precision of {models}; auto is fp32 on a CPU, on a GPU bf16, else {auto}.",
        AUTO,
        "--{stage}precision",
        choices=(AUTO, *PRECISIONS),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_precision(self.precision, self.device, flag(type(self), "precision"), self.trains)


@dataclass(frozen=True, kw_only=True)
class ComputeOptions(OnDevice):
    """How the masked LM runs."""

    words = {"stage": "", "models": "the masked LM", "auto": "fp16"}
    trains = False
    batch_tokens: int | None = option(
        "Tokens of a forward pass; auto is 2048 on a CPU, by memory on a GPU.", read=tokens, shown=AUTO, bounds=COUNT
    )
    part_tokens: int | None = option(
        "Estimated tokens of a part; auto is 150000 on a CPU, 2000000 on a GPU.", read=tokens, shown=AUTO, bounds=COUNT
    )


@dataclass(frozen=True, kw_only=True)
class ComputeInRun(ComputeOptions):
    """How the masked LM runs, where other models run, too."""

    words = {**ComputeOptions.words, "stage": "augment-"}


@dataclass(frozen=True, kw_only=True)
class Machine(OnDevice):
    """What a stage of training runs on.

    Args:
        device: `cpu` or `cuda` where it is resolved, else as typed: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: of matrix products; `auto` where it is not resolved.
        accumulation: parts that each process cuts its share of a step into; None for those that the run was begun
            with, or as many as are usual.
        checkpoint_every: steps after which a killed run goes on, None for those of 300 seconds; an epoch's end is kept
            in any case.

    Raises:
        UserError: a value out of its range.
    """

    words = {**OnDevice.words, "parts": "1"}
    accumulation: int | None = option("Parts that a step is cut into, to save memory [{parts}].", bounds=COUNT)
    checkpoint_every: int | None = option("Steps between checkpoints [as many as take 300 seconds].", bounds=COUNT)

    def check_parts(self, recipe: StageRecipe) -> None:
        """Refuses to cut a step into more parts than it has examples.

        Args:
            recipe: of a stage that is trained.

        Raises:
            UserError: naming the two numbers.
        """
        if recipe.epochs and (self.accumulation or 1) > recipe.batch_rows:
            raise UserError(
                f"{flag(Machine, 'accumulation')}: expected at most {recipe.batch_rows}, the examples of a step, found "
                f"{self.accumulation}; lower it, or raise the batch size"
            )


@dataclass(frozen=True, kw_only=True)
class Device(Machine):
    """What a verb without training runs on."""

    accumulation: int | None = None
    checkpoint_every: int | None = None


@dataclass(frozen=True, kw_only=True)
class MachineInRun(Machine):
    """What training runs on, where the masked LM has a precision of its own."""

    words = {**Machine.words, "stage": "train-", "models": "teacher and student"}


@dataclass(frozen=True, kw_only=True)
class GeneralMachine(Machine):
    """What general distillation runs on, whose steps are large."""

    words = {**Machine.words, "parts": "as many as have 32 sequences each, on a GPU 128"}
