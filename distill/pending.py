"""Steps whose losses are still on the device; they are fetched a few at a time, as each fetch waits for the device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from distill.errors import NotFiniteError
from distill.teacher import check_finite_logits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accelerate import Accelerator
    from torch import Tensor

    from distill.feed import Lesson
    from distill.shards import Batch, ShardStream

STEP_FIELDS = ("step", "epoch", "examples", "learning_rate")  # of a row, before its losses


@dataclass(frozen=True)
class _Step:
    """A step; its numbers and the teacher's logits for each part of its batch are still on the device."""

    row: dict[str, Any]
    kinds: tuple[str, ...]
    numbers: Tensor
    batch: Batch
    logits: list[tuple[Batch, Tensor | None]]


class PendingSteps:
    """Steps whose losses were not fetched yet.

    Args:
        stream: names the rows of a batch.
    """

    def __init__(self, stream: ShardStream) -> None:
        self.stream = stream
        self._steps: list[_Step] = []

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, row: dict[str, Any], kinds: Sequence[str], numbers: Tensor, lesson: Lesson) -> None:
        """Keeps a step.

        Args:
            row: its STEP_FIELDS.
            kinds: names of the losses.
            numbers: this rank's share of the loss of each kind, and the norm of the gradient before clipping
                (kinds + 1,).
            lesson: what it learnt from.
        """
        logits = [(part.batch, given.logits) for part, given in zip(lesson.parts, lesson.given, strict=True)]
        self._steps.append(_Step(row, tuple(kinds), numbers, lesson.batch, logits))

    def take(self, accelerator: Accelerator, extra: Sequence[float] = ()) -> tuple[list[dict[str, Any]], list[float]]:
        """Fetches the numbers of all steps, which are then forgotten.

        Args:
            accelerator: sums the ranks' shares.
            extra: numbers of this rank that are summed over the ranks along with the losses.

        Returns:
            The rows with `loss` and the losses by kind, and the sums of `extra`; empty without steps.

        Raises:
            DistillError: teacher logits that are not finite.
            NotFiniteError: a loss or gradient that is not finite; the message names step and rows.
        """
        if not self._steps:
            return [], []
        steps, self._steps = self._steps, []
        rows, kinds = [step.row for step in steps], steps[0].kinds
        table = torch.stack([step.numbers for step in steps])  # (steps, kinds + 1)
        sent = torch.cat([table[:, :-1].flatten(), table.new_tensor(extra)])
        found = torch.cat([accelerator.reduce(sent, "sum"), table[:, -1]]).double().cpu()
        losses, sums, norms = found.split([len(steps) * len(kinds), len(extra), len(steps)])
        if accelerator.scaler is not None:
            norms = torch.zeros_like(norms)  # the scaler skips a step that overflows, and lowers its scale
        _check_logits(steps)
        for step, numbers, norm in zip(steps, losses.view(len(steps), -1).tolist(), norms.tolist(), strict=True):
            step.row.update({"loss": math.fsum(numbers), **dict(zip(kinds, numbers, strict=True))})
            if not math.isfinite(step.row["loss"]):
                raise NotFiniteError(self._not_finite("losses", step.row["loss"], step.row, step.batch))
            if not math.isfinite(norm):
                raise NotFiniteError(self._not_finite("gradients", norm, step.row, step.batch))
        return rows, sums.tolist()

    def _not_finite(self, what: str, found: float, row: Mapping[str, Any], batch: Batch) -> str:
        return (
            f"expected finite {what}; found {found} in step {row['step']}, whose batch of {len(batch)} has the rows "
            f"(shard:row) {self.stream.places(batch)}. Train with a lower learning rate, or in bf16 or fp32, in "
            "another folder: the checkpoints of this one go on with its own settings alone."
        )


def _check_logits(steps: Sequence[_Step]) -> None:
    """Refuses a teacher whose logits were not finite; they are fetched together."""
    some = [(batch, logits) for step in steps for batch, logits in step.logits if logits is not None]
    if some:
        found = torch.cat([_of_rows(logits.float()) for _, logits in some]).cpu().numpy()
        start = 0
        for batch, logits in some:
            check_finite_logits(found[start : start + len(logits)], batch)
            start += len(logits)


def _of_rows(logits: Tensor) -> Tensor:
    """Logits (B, C) as they are; of spans (B, T, 2) their sum (B, 1), which is finite if all are."""
    return logits.flatten(1).sum(1, keepdim=True) if logits.ndim == 3 else logits
