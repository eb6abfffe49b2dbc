"""Steps whose losses are still on the device; they are fetched a few at a time, and read when they have arrived."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from distill.errors import NotFiniteError
from distill.teacher import check_finite_logits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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


@dataclass(frozen=True)
class _Sent:
    """Steps whose numbers are on their way to the host: read none before `arrived`."""

    steps: list[_Step]
    extra: Sequence[float]
    numbers: Tensor
    logits: Tensor | None
    arrived: torch.cuda.Event | None


class PendingSteps:
    """Steps whose losses were not read yet.

    Args:
        stream: names the rows of a batch.
    """

    def __init__(self, stream: ShardStream) -> None:
        self.stream = stream
        self._steps: list[_Step] = []
        self._sent: _Sent | None = None

    def __len__(self) -> int:
        """Those that are not on their way."""
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

    def take(
        self, accelerator: Accelerator, extra: Sequence[float] = (), late: bool = False
    ) -> Iterator[tuple[list[dict[str, Any]], list[float]]]:
        """Reads the numbers of all steps, which are then forgotten.

        Args:
            accelerator: sums the ranks' shares.
            extra: numbers of this rank that are summed over the ranks along with the losses.
            late: read those that the last call sent for, and only send for the others: a device that waits until its
                host has read what it did last has nothing to do meanwhile.

        Yields:
            The rows with `loss` and the losses by kind, and the sums of `extra`, of the steps that were sent for
            together; nothing without steps.

        Raises:
            DistillError: teacher logits that are not finite.
            NotFiniteError: a loss or gradient that is not finite; the message names step and rows.
        """
        earlier, now = self._sent, self._send(accelerator, extra) if self._steps else None
        self._sent, coming = (now, [earlier]) if late else (None, [earlier, now])
        for sent in coming:
            if sent is not None:
                yield self._read(sent, with_norms=accelerator.scaler is None)

    def _send(self, accelerator: Accelerator, extra: Sequence[float]) -> _Sent:
        steps, self._steps = self._steps, []
        table = torch.stack([step.numbers for step in steps])  # (steps, kinds + 1)
        shares, summed = table[:, :-1].flatten(), accelerator.num_processes > 1
        if summed:  # a process alone has its sums, and making a tensor of them would wait for a GPU
            shares = accelerator.reduce(torch.cat([shares, table.new_tensor(extra)]), "sum")
        numbers = torch.cat([table[:, -1], shares])
        logits = [_of_rows(one.float()) for step in steps for _, one in step.logits if one is not None]
        # From a GPU into pinned memory; the copies are ordered behind the steps.
        sent = [one.to("cpu", non_blocking=one.is_cuda) for one in (numbers, *([torch.cat(logits)] if logits else []))]
        arrived = torch.cuda.current_stream().record_event() if numbers.is_cuda else None
        return _Sent(steps, () if summed else extra, sent[0], sent[1] if logits else None, arrived)

    def _read(self, sent: _Sent, with_norms: bool) -> tuple[list[dict[str, Any]], list[float]]:
        """Rows and sums of some steps; a scaler skips a step whose gradients overflow, and lowers its scale."""
        if sent.arrived is not None:
            sent.arrived.synchronize()
        steps, kinds = sent.steps, sent.steps[0].kinds
        numbers = sent.numbers.double()
        norms, losses, sums = numbers.tensor_split((len(steps), len(steps) * (1 + len(kinds))))
        _check_logits(sent)
        for step, own, norm in zip(steps, losses.view(len(steps), -1).tolist(), norms.tolist(), strict=True):
            step.row.update({"loss": math.fsum(own), **dict(zip(kinds, own, strict=True))})
            if not math.isfinite(step.row["loss"]):
                raise NotFiniteError(self._not_finite("losses", step.row["loss"], step.row, step.batch))
            if with_norms and not math.isfinite(norm):
                raise NotFiniteError(self._not_finite("gradients", norm, step.row, step.batch))
        return [step.row for step in steps], [*sent.extra, *sums.tolist()]

    def _not_finite(self, what: str, found: float, row: Mapping[str, Any], batch: Batch) -> str:
        return (
            f"expected finite {what}; found {found} in step {row['step']}, whose batch of {len(batch)} has the rows "
            f"(shard:row) {self.stream.places(batch)}. Train with a lower learning rate, or in bf16 or fp32, in "
            "another folder: the checkpoints of this one go on with its own settings alone."
        )


def _check_logits(sent: _Sent) -> None:
    """Refuses a teacher whose logits were not finite."""
    if sent.logits is None:
        return
    found, start = sent.logits.numpy(), 0
    for batch in (batch for step in sent.steps for batch, logits in step.logits if logits is not None):
        check_finite_logits(found[start : start + len(batch)], batch)
        start += len(batch)


def _of_rows(logits: Tensor) -> Tensor:
    """Logits (B, C) as they are; of spans (B, T, 2) their sum (B, 1), which is finite if all are."""
    return logits.flatten(1).sum(1, keepdim=True) if logits.ndim == 3 else logits
