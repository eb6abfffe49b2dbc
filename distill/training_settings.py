"""Arguments of the training loop: settings, schedule, callbacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill.errors import DistillError
from distill.teacher import Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from distill.checkpoints import RunState
    from distill.objectives import Stage


@dataclass(frozen=True)
class TrainSettings:
    """Settings of one stage; defaults where the paper is silent are listed in docs/distillation.md.

    Attributes:
        epochs: passes over the data.
        learning_rate: at its peak.
        max_steps: stop after as many steps, and let the schedule end there.
        accumulation: parts a rank cuts its share of a batch into.
        weight_decay: on matrices; biases and norms are left alone.
        warmup: share of the run during which the rate rises.
        warmup_steps: rises in at most as many steps.
        clip: largest norm of the gradient.
        precision: of matrix products; AUTO is decided by the device, and recorded as decided.
        seed: of dropout.
        log_every: steps between fetches of the losses (each fetch waits for the device).
        checkpoint_every: steps between checkpoints; None makes one every 300 seconds. One is made at every epoch's end,
            too.
        cpu: leave an accelerator alone.
        graphs: run full batches as CUDA graphs; None does on a GPU, in one process, without accumulation and fp16.
        teacher_group: batches on which the teacher runs together at most, ahead of the student; None is
            `distill.groups.GROUP_BATCHES` on a GPU and 1 on a CPU.
        compiled: have `torch.compile` make the kernels of the steps that run as graphs, which takes time at the start;
            dropout draws other numbers.
    """

    epochs: int
    learning_rate: float
    max_steps: int | None = None
    accumulation: int = 1
    weight_decay: float = 0.01
    warmup: float = 0.1
    warmup_steps: int | None = None
    clip: float = 1.0
    precision: Precision = Precision.AUTO
    seed: int = 0
    log_every: int = 10
    checkpoint_every: int | None = None
    cpu: bool = False
    graphs: bool | None = None
    teacher_group: int | None = None
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.precision not in tuple(Precision):
            raise DistillError(f"expected a precision of {', '.join(Precision)}; found {self.precision!r}. Choose one.")
        object.__setattr__(self, "precision", Precision(self.precision))  # its name will do
        for name in ("epochs", "accumulation", "log_every", "checkpoint_every", "max_steps", "teacher_group"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DistillError(f"expected {name} of at least 1; found {value}. Raise it.")
        if not (self.learning_rate > 0 and self.clip > 0 and self.weight_decay >= 0):
            raise DistillError(
                f"expected learning_rate and clip above 0 and weight_decay of 0 or more; found "
                f"{self.learning_rate}, {self.clip}, {self.weight_decay}. Correct them."
            )
        if not 0 <= self.warmup < 1:
            raise DistillError(f"expected warmup from 0 to below 1; found {self.warmup}. It is a share.")


@dataclass(frozen=True)
class Progress:
    """The argument of a progress callback.

    Attributes:
        step: the last one whose losses were read.
        epoch: current epoch, from 0.
        examples: of all steps so far; on a GPU those of the last steps may still be at work.
        total: examples of the whole run (fewer are seen with max_steps).
        losses: of that step, by kind, and "loss", their sum.
        examples_per_s: since the last call.
    """

    step: int
    epoch: int
    examples: int
    total: int
    losses: Mapping[str, float]
    examples_per_s: float


@dataclass(frozen=True)
class Hooks:
    """Callbacks of the training loop.

    Attributes:
        progress: called on the main process every `log_every` steps.
        evaluate: dev metrics of the stage's model, called at every epoch's end on the main process.
        select: metric whose best epoch's weights the stage ends with; None keeps the last state.
        stop: asked after every step by every process; once one of them says True, all keep a checkpoint of the same
            step and raise `StoppedError`. The loop installs no signal handlers: a caller's may set what this returns.
        resumed: called on the main process with the state that a run resumes from.
    """

    progress: Callable[[Progress], None] | None = None
    evaluate: Callable[[Stage], dict[str, float]] | None = None
    select: str | None = None
    stop: Callable[[], bool] | None = None
    resumed: Callable[[RunState], None] | None = None
