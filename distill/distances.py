"""Squared distances of a student's states to a teacher's, and which positions of a batch count in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

HALF = (torch.bfloat16, torch.float16)


class Own:
    """The positions that are an example's own, with what the losses derive of them once for all layers.

    Args:
        mask: (B, T), true (or 1) at own positions; None where nothing is padded.
    """

    def __init__(self, mask: Tensor | None) -> None:
        self._own = None if mask is None else mask.bool()
        self._derived: dict[str, Tensor] = {}  # no cached_property, whose lock torch.compile cannot take

    @property
    def lengths(self) -> Tensor | None:
        """Own positions of each example (B,), float32; None where all are."""
        own = self._own
        return None if own is None else self._once("lengths", lambda: own.sum(-1, dtype=torch.float32))

    @property
    def squared_lengths(self) -> Tensor | None:
        """Own pairs of positions of each example (B,), float32; None where all are."""
        lengths = self.lengths
        return None if lengths is None else self._once("squared lengths", lambda: lengths**2)

    @property
    def padded(self) -> Tensor | None:
        """(B, T, 1), true where padded; None where nothing is."""
        own = self._own
        return None if own is None else self._once("padded", lambda: ~own[:, :, None])

    @property
    def padded_pairs(self) -> Tensor | None:
        """(B, 1, T, T), true where row or column is padded; None where none is."""
        padded = self.padded
        return None if padded is None else self._once("padded pairs", lambda: (padded | padded.mT)[:, None])

    def _once(self, name: str, derive: Callable[[], Tensor]) -> Tensor:
        if name not in self._derived:
            self._derived[name] = derive()
        return self._derived[name]

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


@dataclass(frozen=True)
class Compared:
    """States of a student beside those of its teacher.

    Args:
        student: (B, …); only it gets a gradient.
        teacher: likewise.
        padded: broadcasts to them, true at entries that do not count, which may hold anything; None where all do.
        features: entries of a position, or of a pair of positions.
        positions: that count in an example: (B,), or a number that all have.
    """

    student: Tensor
    teacher: Tensor
    padded: Tensor | None
    features: int
    positions: Tensor | int

    @property
    def entries(self) -> Tensor | int:
        """That count in an example: (B,), or a number that all have."""
        return self.features * self.positions


def scores_compared(student: Tensor, teacher: Tensor, own: Own, window: int | None = None) -> Compared:
    """Raw scores (B, h, T, T) of a layer, over own pairs; with a window over those of them that lie within it.

    Raises:
        DistillError: the shapes differ.
    """
    check_same_shape("attention scores", student, teacher)
    heads, width = student.shape[1:3]
    if window is not None and window < width - 1:
        unseen, pairs = own.unseen(window, student)
        return Compared(student, teacher, unseen, heads, pairs)
    every = width**2 if own.squared_lengths is None else own.squared_lengths
    return Compared(student, teacher, own.padded_pairs, heads, every)


def states_compared(student: Tensor, teacher: Tensor, own: Own) -> Compared:
    """States (B, T, d) of a layer, or of the embedding, over own positions.

    Raises:
        DistillError: the shapes differ.
    """
    check_same_shape("hidden states", student, teacher)
    positions = student.shape[1] if own.lengths is None else own.lengths
    return Compared(student, teacher, own.padded, student.shape[2], positions)


def check_same_shape(what: str, student: Tensor, teacher: Tensor) -> None:
    """Refuses states that cannot be compared.

    Args:
        what: they are.
        student: its states.
        teacher: its states.

    Raises:
        DistillError: the shapes differ.
    """
    if student.shape != teacher.shape:
        raise DistillError(
            f"expected {what} of one shape; found {tuple(student.shape)} for the student and "
            f"{tuple(teacher.shape)} for the teacher. Check head counts, widths, labels and projections "
            "(heads: HeadReduction.MEAN compares means over heads)."
        )


def mean_squares(compared: Sequence[Compared]) -> Tensor:
    """Means of squared differences over the entries that count, (C, B) for C comparisons, float32 or more.

    Squares of half precisions are added up, and their gradient scaled, in float32: they overflow or lose their digits
    otherwise. No copy of the states is made for it. All comparisons go together, for a small student's step is as
    long as its kernels are many.
    """
    padded = tuple(one.padded for one in compared)
    states = [one.student for one in compared], [one.teacher for one in compared]
    squares = cast("Tensor", _SquaredDistances.apply(padded, *states[0], *states[1]))
    if len({(one.features, id(one.positions)) for one in compared}) == 1:
        return squares / compared[0].entries
    return torch.stack([sums / one.entries for sums, one in zip(squares, compared, strict=True)])


class _SquaredDistances(torch.autograd.Function):
    """Sums of squared differences of each example, (C, B)."""

    @staticmethod
    def forward(ctx: Any, padded: tuple[Tensor | None, ...], *states: Tensor) -> Tensor:
        students, teachers = states[: len(padded)], states[len(padded) :]
        differences = torch._foreach_sub(students, teachers)
        for one, hidden in zip(differences, padded, strict=True):
            if hidden is not None:
                one.masked_fill_(hidden, 0.0)
        ctx.save_for_backward(*differences)
        ctx.dtypes = [student.dtype for student in students]
        if differences[0].dtype not in HALF:
            return torch.stack([one.square().flatten(1).sum(1) for one in differences])
        every = tuple(range(1, differences[0].ndim))
        norms = [torch.linalg.vector_norm(one, dim=every, dtype=torch.float32) for one in differences]
        return torch.stack(norms).square()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scales, found = 2 * gradients[0], []
        for differences, scale, dtype in zip(ctx.saved_tensors, scales, ctx.dtypes, strict=True):
            scale = scale.view(-1, *(1,) * (differences.ndim - 1))
            found.append(torch.mul(differences, scale, out=torch.empty_like(differences, dtype=dtype)))
        return None, *found, *(None for _ in found)
