"""Steps whose losses are still on the device; they are fetched a few at a time, as each fetch waits for the device."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from distill.errors import NotFiniteError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accelerate import Accelerator
    from torch import Tensor

    from distill.shards import Batch, ShardStream

STEP_FIELDS = ("step", "epoch", "examples", "learning_rate")  # of a row, before its losses


class PendingSteps:
    """Steps whose losses were not fetched yet.

    Args:
        stream: names the rows of a batch.
    """

    def __init__(self, stream: ShardStream) -> None:
        self.stream = stream
        self._steps: list[tuple[dict[str, Any], dict[str, Tensor], Tensor, Batch]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, row: dict[str, Any], losses: dict[str, Tensor], norm: Tensor, batch: Batch) -> None:
        """Keeps a step.

        Args:
            row: its STEP_FIELDS.
            losses: this rank's share of the loss of each kind, scalars.
            norm: norm of the gradient before clipping, a scalar.
            batch: its batch.
        """
        self._steps.append((row, losses, norm, batch))

    def take(self, accelerator: Accelerator, extra: Sequence[float] = ()) -> tuple[list[dict[str, Any]], list[float]]:
        """Fetches the numbers of all steps, which are then forgotten.

        Args:
            accelerator: sums the ranks' shares.
            extra: numbers of this rank that are summed over the ranks along with the losses.

        Returns:
            The rows with `loss` and the losses by kind, and the sums of `extra`; empty without steps.

        Raises:
            NotFiniteError: a loss or gradient that is not finite; the message names step and rows.
        """
        if not self._steps:
            return [], []
        steps, self._steps = self._steps, []
        rows, kinds = [row for row, *_ in steps], list(steps[0][1])
        table = torch.stack([torch.stack([losses[kind] for kind in kinds]) for _, losses, *_ in steps])
        sent = torch.cat([table.flatten(), table.new_tensor(extra)])
        summed = accelerator.reduce(sent, "sum").double().cpu()
        values = summed[: table.numel()].view(table.shape).tolist()  # (steps, kinds)
        norms = torch.stack([norm for *_, norm, _ in steps]).double().cpu().tolist()
        if accelerator.scaler is not None:
            norms = [0.0] * len(norms)  # the scaler skips a step that overflows, and lowers its scale
        for (row, _, _, batch), numbers, norm in zip(steps, values, norms, strict=True):
            row |= {"loss": math.fsum(numbers), **dict(zip(kinds, numbers, strict=True))}
            if not math.isfinite(row["loss"]):
                raise NotFiniteError(self._not_finite("losses", row["loss"], row, batch))
            if not math.isfinite(norm):
                raise NotFiniteError(self._not_finite("gradients", norm, row, batch))
        return rows, summed[table.numel() :].tolist()

    def _not_finite(self, what: str, found: float, row: Mapping[str, Any], batch: Batch) -> str:
        return (
            f"expected finite {what}; found {found} in step {row['step']}, whose batch of {len(batch)} has the rows "
            f"(shard:row) {self.stream.places(batch)}. Train with a lower learning rate, or in bf16 or fp32, in "
            "another folder: the checkpoints of this one go on with its own settings alone."
        )
