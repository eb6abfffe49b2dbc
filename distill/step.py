"""One step of the student: forward, losses, backward, clipping, AdamW. A function of tensors that reads none of them.

So it can run as it is, or be recorded once as a CUDA graph and replayed (distill.graphs).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from distill.cast_weights import HALF, CastWeights
from distill.dropout import seed_dropout
from distill.losses import stacked_losses
from distill.optimiser import clipped_step
from distill.teacher import TeacherTargets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer
    from torch import Tensor

    from distill.inputs import BatchTensors
    from distill.objectives import Stage
    from distill.precision import Precision


@dataclass
class StudentStep:
    """The step of a stage.

    Args:
        stage: what is trained.
        model: the stage as the accelerator prepared it.
        accelerator: of the process.
        optimiser: prepared, too.
        clip: largest norm of the gradient.
        precision: decided; half precisions cast all weights at once, but under DDP, whose hooks are the parameters'.
        compiled: whether `torch.compile` makes the kernels of a whole batch's step; may be taken back.

    Attributes:
        kinds: names of the losses, in the order of their numbers; known after the first step.
    """

    stage: Stage
    model: Any
    accelerator: Accelerator
    optimiser: AcceleratedOptimizer
    clip: float
    precision: Precision
    compiled: bool = False
    kinds: tuple[str, ...] = ()
    _made: Callable[..., dict[str, Tensor]] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._call: Callable[..., dict[str, Tensor]] = self.model
        if self.precision in HALF and self.accelerator.num_processes == 1:
            self._call = CastWeights(self.stage, HALF[self.precision])

    def gradients(self, tensors: BatchTensors, given: TeacherTargets, share: float, compiled: bool = False) -> Tensor:
        """Adds the gradients of a part of a batch.

        Args:
            tensors: of the part.
            given: the teacher's outputs for it.
            share: of the whole batch's mean that a row of it has: 1 / rows; 0 for rows that do not count.
            compiled: by kernels that `torch.compile` made.

        Returns:
            The part's share of the batch's mean loss of each kind (kinds,), float32.
        """
        compute = self._made if compiled and self._made else self._losses
        losses = compute(tensors.inputs(self.stage.model), given, tensors.labels)
        self.kinds = tuple(losses)
        shares = stacked_losses(losses).sum(1) * share  # (kinds, B) to (kinds,)
        accelerator, loss = self.accelerator, shares.sum()
        if accelerator.num_processes > 1:  # DDP averages over ranks; the batch's loss is the sum of the ranks' shares
            loss = loss * accelerator.num_processes
        (loss if accelerator.scaler is None else accelerator.scaler.scale(loss)).backward()
        return shares.detach()

    def _losses(self, *arguments: Any) -> dict[str, Tensor]:
        return self._call(*arguments)

    def update(self, shares: Tensor) -> Tensor:
        """Clips the gradients and steps.

        Args:
            shares: of the losses (kinds,).

        Returns:
            The losses and the norm of the gradient before clipping (kinds + 1,).
        """
        norm = clipped_step(self.accelerator, self.optimiser, self.clip)
        self.optimiser.zero_grad(set_to_none=True)
        return torch.cat([shares, norm.view(1)])

    def __call__(self, tensors: BatchTensors, given: TeacherTargets, share: float) -> Tensor:
        """The step of a batch in one part; the losses and the norm (kinds + 1,)."""
        return self.update(self.gradients(tensors, given, share, self.compiled))

    def make_kernels(self, tensors: BatchTensors, given: TeacherTargets, share: float) -> None:
        """Has `torch.compile` make the kernels of such a step unless they are made; trains nothing.

        Args:
            tensors: as those of the step, and where they will be.
            given: likewise.
            share: as for `gradients`.
        """
        self._made = self._made or torch.compile(self._losses, dynamic=True)
        cards = [tensors.ids.device] if tensors.ids.device.type == "cuda" else []
        with torch.random.fork_rng(cards):
            self.gradients(tensors, given, share, compiled=True)
        self.optimiser.zero_grad(set_to_none=True)

    def in_parts(self, parts: Sequence[tuple[BatchTensors, TeacherTargets, float]], seeds: Sequence[int]) -> Tensor:
        """The step of a batch in several parts, each with its own seed of dropout; gradients of all are added up."""
        shares: Tensor | None = None
        for number, (tensors, given, share) in enumerate(parts):
            seed_dropout(seeds[number], self.accelerator.device)
            last = number == len(parts) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                found = self.gradients(tensors, given, share)
            shares = found if shares is None else shares + found
        assert shares is not None  # a batch has a part
        return self.update(shares)


def flat_targets(given: TeacherTargets) -> list[Tensor]:
    """All tensors of a teacher's outputs, in a fixed order."""
    single = [value for value in (given.logits, given.embedding) if value is not None]
    return [*single, *given.hidden, *given.scores, *given.cls]


def targets_bytes(given: TeacherTargets, width: int, longest: int) -> int:
    """The memory that `laid_out` takes for outputs like these, of batches of another width.

    Args:
        given: of a batch.
        width: of that batch, in tokens.
        longest: the other width.
    """
    of_rows: list[Tensor | None] = [*given.cls]
    of_tokens: list[Tensor | None] = [given.embedding, *given.hidden]
    if given.logits is not None:
        (of_tokens if given.logits.ndim == 3 else of_rows).append(given.logits)
    size = 0
    for power, some in enumerate((of_rows, of_tokens, given.scores)):
        size += sum(_aligned(one.nbytes * longest**power // width**power) for one in some if one is not None)
    return size


def laid_out(given: TeacherTargets, memory: Tensor) -> TeacherTargets:
    """Tensors of the same shapes, one after the other in `memory` (bytes,), uint8."""
    start = 0

    def own(value: Tensor) -> Tensor:
        nonlocal start
        found = memory[start : start + value.nbytes].view(value.dtype).view(value.shape)
        start += _aligned(value.nbytes)
        return found

    return TeacherTargets(
        logits=None if given.logits is None else own(given.logits),
        hidden=tuple(map(own, given.hidden)),
        scores=tuple(map(own, given.scores)),
        embedding=None if given.embedding is None else own(given.embedding),
        cls=tuple(map(own, given.cls)),
    )


def _aligned(size: int) -> int:
    return -(-size // 512) * 512  # where torch's own tensors begin on a GPU
