"""The losses as pure functions of tensors and a mask: Eqs. 7-11 of TinyBERT, and those of BERT-PKD.

Every function returns one loss an example, (B,). The loss of an example is the mean over its own unpadded
positions (both axes for attention), heads and features, so padding and batch order change nothing. The loss
of a batch is the mean over its examples, taken where the number of examples of a whole step is known.
Padded entries may hold anything, NaN included: they reach neither the value nor the gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import torch
from torch import nn

from distill.distances import Compared, Own, check_same_shape, mean_squares, scores_compared, states_compared
from distill.errors import DistillError
from distill.layer_maps import check_weight_count, check_weight_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


class HeadReduction(StrEnum):
    """How attention scores are compared: head by head, or by their mean over heads (where counts differ)."""

    NONE = "none"
    MEAN = "mean"


@dataclass(frozen=True)
class LossSettings:
    """The parts of Eq. 11 that count, and their weights.

    Attributes:
        embedding: Eq. 9, m = 0.
        attention: Eq. 7, for 1 ≤ m ≤ M.
        hidden: Eq. 8, for 1 ≤ m ≤ M.
        layer_weights: λ_0 … λ_{M+1} of Eq. 6 (embedding, M layers, prediction); None means 1 for each.
        temperature: t of Eq. 10, applied to both logits.
        heads: how to compare scores; NONE demands equal head counts.
    """

    embedding: bool = True
    attention: bool = True
    hidden: bool = True
    layer_weights: tuple[float, ...] | None = None
    temperature: float = 1.0
    heads: HeadReduction = HeadReduction.NONE

    def __post_init__(self) -> None:
        if not (self.embedding or self.attention or self.hidden):
            raise DistillError(
                "expected at least one of embedding, attention and hidden loss; found all switched off. "
                "Leave the intermediate stage out instead."
            )
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise DistillError(f"expected a temperature above 0; found {self.temperature}. The paper uses 1.")
        check_weight_values(self.layer_weights or ())

    def weights(self, layers: int) -> tuple[float, ...]:
        """λ_0 … λ_{M+1} for a student of M = `layers` layers.

        Raises:
            DistillError: the stored weights are not M + 2.
        """
        if self.layer_weights is None:
            return (1.0,) * (layers + 2)
        check_weight_count(self.layer_weights, layers)
        return self.layer_weights

    def of_layers(self, layers: int) -> bool:
        """Whether a loss of Eqs. 7-9 that is switched on has a weight above 0, for a student of M = `layers` layers.

        Raises:
            DistillError: the stored weights are not M + 2.
        """
        first, *others, _ = self.weights(layers)
        return bool((self.embedding and first) or ((self.attention or self.hidden) and any(others)))


@dataclass(frozen=True)
class LayerStates:
    """The states that Eqs. 7-9 compare: the student's, or the teacher's at mapped layers.

    Attributes:
        embedding: output of the embedding layer (B, T, d); None when its loss is off.
        hidden: hidden states (B, T, d) of student layers 1 … M or of teacher layers g(1) … g(M).
        scores: raw attention scores (B, h, T, T) of the same layers.
    """

    embedding: Tensor | None
    hidden: Sequence[Tensor]
    scores: Sequence[Tensor]


def attention_loss(student: Tensor, teacher: Tensor, mask: Tensor | None, window: int | None = None) -> Tensor:
    """Eq. 7: mean over heads of the MSE between raw scores.

    Args:
        student: raw scores (B, h, T, T), before softmax, after 1/√d_k.
        teacher: likewise.
        mask: (B, T), true (or 1) at an example's own positions; None where nothing is padded.
        window: tokens to either side that a token sees, where layers have windows (ModernBERT): pairs further apart
            are no part of the attention, and count as padded ones.

    Returns:
        (B,): sum of squared differences over own rows and columns / (h · l²) for an example of l tokens; with a
        window over the pairs within it / (h · their number).

    Raises:
        DistillError: the shapes differ, as they do for other head counts.
    """
    return mean_squares([scores_compared(student, teacher, Own(mask), window)])[0]


def hidden_loss(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """Eqs. 8 and 9: MSE between projected student states and teacher states.

    Args:
        student: H^S W_h or E^S W_e, (B, T, d).
        teacher: H^T or E^T, (B, T, d).
        mask: (B, T), true (or 1) at an example's own positions; None where nothing is padded.

    Returns:
        (B,): mean over own positions and features.

    Raises:
        DistillError: the shapes differ.
    """
    return mean_squares([states_compared(student, teacher, Own(mask))])[0]


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Eq. 10: cross-entropy of the student's distribution under the teacher's, summed over classes.

    The temperature divides both logits (Eq. 10 divides the student's alone; the same at its t = 1).

    Args:
        student: logits z^S (B, C).
        teacher: logits z^T (B, C).
        temperature: t.

    Returns:
        (B,), in nats.

    Raises:
        DistillError: the shapes differ.
    """
    check_same_shape("logits", student, teacher)
    target = torch.softmax(_wide(teacher) / temperature, dim=-1)
    return -(target * torch.log_softmax(_wide(student) / temperature, dim=-1)).sum(-1)


def score_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean squared difference of scores, (B, 1) to (B,), in regression tasks; of logits (B, C) in BiLSTM_soft."""
    check_same_shape("scores", student, teacher)
    return (_wide(student) - _wide(teacher)).square().mean(-1)


def prediction_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """The loss on the teacher's predictions: `soft_cross_entropy` for classes, `score_loss` for scores.

    Args:
        student: logits (B, C); C = 1 for a score.
        teacher: likewise.
        temperature: of the soft cross-entropy.

    Returns:
        (B,).
    """
    if student.shape[-1] == 1:
        return score_loss(student, teacher)
    return soft_cross_entropy(student, teacher, temperature)


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the labels, or the squared difference to them where they are scores.

    Args:
        logits: (B, C); C = 1 for a score.
        labels: class numbers or scores (B,).

    Returns:
        (B,).
    """
    logits = logits.float()
    if logits.shape[-1] == 1:
        return (logits[:, 0] - labels.float()).square()
    return nn.functional.cross_entropy(logits, labels.long(), reduction="none")


def patience_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """L_PT of BERT-PKD: MSE between [CLS] states that are scaled to a length of 1.

    It is the mean over layers and features, as in the authors' code; the paper's formula adds them up.

    Args:
        student: [CLS] states of L layers (B, L, d).
        teacher: those of the teacher layers that they learn from (B, L, d).

    Returns:
        (B,).

    Raises:
        DistillError: the shapes differ.

    Source: S. Sun, Y. Cheng, Z. Gan and J. Liu, Patient Knowledge Distillation for BERT Model Compression (2019).
    """
    check_same_shape("[CLS] states", student, teacher)
    mine, theirs = (nn.functional.normalize(_wide(states), dim=-1) for states in (student, teacher))
    return (mine - theirs).square().mean((1, 2))


def intermediate_losses(
    student: LayerStates,
    teacher: LayerStates,
    mask: Tensor | None,
    settings: LossSettings,
    layers: int,
    windows: Sequence[int | None] | None = None,
) -> dict[str, Tensor]:
    """The sums over m = 0 … M of Eq. 6, by kind and already weighted with λ_m.

    Args:
        student: states of layers 1 … M, hidden states and embedding already projected by W_h and W_e.
        teacher: states of layers g(1) … g(M).
        mask: (B, T); None where nothing is padded.
        settings: which kinds count, and λ_m.
        layers: M; losses that are switched off leave their states out.
        windows: how far tokens see in each of the M layers, student's and teacher's alike; None: everywhere.

    Returns:
        For each kind that is switched on ("embedding", "attention", "hidden") its loss (B,).

    Raises:
        DistillError: shapes or counts of layers differ.
    """
    weights, own = settings.weights(layers), Own(mask)
    losses: dict[str, Tensor] = {}
    if settings.embedding and student.embedding is not None and teacher.embedding is not None:
        losses["embedding"] = _weighted([states_compared(student.embedding, teacher.embedding, own)], weights)
    if settings.attention:
        reduced = [[_reduce_heads(scores, settings.heads) for scores in one.scores] for one in (student, teacher)]
        each = zip(*reduced, windows or [None] * layers, strict=True)
        scores = [scores_compared(s, t, own, window) for s, t, window in each]
        losses["attention"] = _weighted(scores, weights[1:])
    if settings.hidden:
        states = [states_compared(s, t, own) for s, t in zip(student.hidden, teacher.hidden, strict=True)]
        losses["hidden"] = _weighted(states, weights[1:])
    return losses


def stacked_losses(losses: Mapping[str, Tensor]) -> Tensor:
    """The losses of all kinds in one tensor, (kinds, B)."""
    return torch.stack(tuple(losses.values()))


def total_loss(losses: Mapping[str, Tensor]) -> Tensor:
    """Eq. 11: the sum over the kinds, (B,)."""
    return stacked_losses(losses).sum(0)


def _weighted(compared: Sequence[Compared], weights: Sequence[float]) -> Tensor:
    """The sum of the comparisons' losses, each with its weight; there may be more weights."""
    losses: Tensor = mean_squares(compared)
    own = weights[: len(compared)]
    if any(weight != 1 for weight in own):
        losses = torch.stack([weight * loss for weight, loss in zip(own, losses, strict=True)])
    return losses.sum(0) if len(compared) > 1 else losses[0]


def _reduce_heads(scores: Tensor, reduction: HeadReduction) -> Tensor:
    """(B, h, T, T) as it is, or (B, 1, T, T)."""
    return scores.mean(1, keepdim=True) if reduction is HeadReduction.MEAN else scores


def _wide(values: Tensor) -> Tensor:
    """Half precisions become float32: squares of raw scores overflow or lose their digits otherwise."""
    return values if values.dtype == torch.float64 else values.float()
