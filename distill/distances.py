"""Squared distances of a student's states to a teacher's, and which positions of a batch count in them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch

if TYPE_CHECKING:
    from torch import Tensor

HALF = (torch.bfloat16, torch.float16)


class Own:
    """The positions that are an example's own, with what the losses derive of them once for all layers.

    Args:
        mask: (B, T), true (or 1) at own positions; None where nothing is padded.
    """

    def __init__(self, mask: Tensor | None) -> None:
        self._own = None if mask is None else mask.bool()

    @cached_property
    def lengths(self) -> Tensor | None:
        """Own positions of each example (B,), float32; None where all are."""
        return None if self._own is None else self._own.sum(-1, dtype=torch.float32)

    @cached_property
    def padded(self) -> Tensor | None:
        """(B, T, 1), true where padded; None where nothing is."""
        return None if self._own is None else ~self._own[:, :, None]

    @cached_property
    def padded_pairs(self) -> Tensor | None:
        """(B, 1, T, T), true where row or column is padded; None where none is."""
        return None if self.padded is None else (self.padded | self.padded.mT)[:, None]

    def unseen(self, window: int, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The pairs that do not count where tokens see `window` tokens to either side.

        Args:
            window: tokens.
            scores: (B, h, T, T), for length and device.

        Returns:
            (B or 1, 1, T, T), true where padded or too far apart; and how many pairs count (B or 1,).
        """
        place = torch.arange(scores.shape[-1], device=scores.device)
        far = ((place[:, None] - place).abs() > window)[None, None]
        unseen = far if self.padded_pairs is None else far | self.padded_pairs
        return unseen, (~unseen).sum((1, 2, 3), dtype=torch.float32)


def squared_distance(student: Tensor, teacher: Tensor, padded: Tensor | None) -> Tensor:
    """Sums of squared differences of each example, (B,), float32 or more.

    Squares of half precisions are added up, and their gradient scaled, in float32: they overflow or lose their digits
    otherwise. No copy of the states is made for it.

    Args:
        student: (B, …); only it gets a gradient.
        teacher: likewise.
        padded: broadcasts to them, true at entries that do not count, which may hold anything; None where all do.
    """
    return cast("Tensor", _SquaredDistance.apply(student, teacher, padded))


class _SquaredDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, padded: Tensor | None) -> Tensor:
        differences = student - teacher
        if padded is not None:
            differences.masked_fill_(padded, 0.0)
        ctx.save_for_backward(differences)
        ctx.dtype = student.dtype
        if differences.dtype not in HALF:
            return differences.square().flatten(1).sum(1)
        every = tuple(range(1, differences.ndim))
        return torch.linalg.vector_norm(differences, dim=every, dtype=torch.float32).square()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (differences,) = ctx.saved_tensors
        scale = (2 * gradients[0]).view(-1, *(1,) * (differences.ndim - 1))
        return torch.mul(differences, scale, out=torch.empty_like(differences, dtype=ctx.dtype)), None, None
