"""The losses of answers as spans of tokens, on start and end logits (appendix C).

The two losses of a window are averaged, as in transformers' and the authors' BERT for question answering.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from distill.errors import DistillError
from distill.losses import label_loss, prediction_loss, soft_cross_entropy
from distill.windows import SHIFT

if TYPE_CHECKING:
    from torch import Tensor


def span_label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the true start and end, averaged.

    Args:
        logits: (B, T, 2), of start and end.
        labels: (B,), of `span_label`.

    Returns:
        (B,).
    """
    codes = labels.long()
    ends = torch.stack((codes // SHIFT, codes % SHIFT), -1)  # (B, 2)
    return nn.functional.cross_entropy(logits.float(), ends, reduction="none").mean(-1)


def span_prediction_loss(student: Tensor, teacher: Tensor, mask: Tensor | None, temperature: float = 1.0) -> Tensor:
    """Eq. 10 over the positions of a window, for starts and for ends, averaged.

    Args:
        student: logits (B, T, 2), of start and end.
        teacher: likewise.
        mask: (B, T), 1 at a window's own positions; padded ones have no share. None where nothing is padded.
        temperature: t, which divides both logits.

    Returns:
        (B,), in nats.

    Raises:
        DistillError: the shapes differ.
    """
    if student.shape != teacher.shape:
        raise DistillError(
            f"expected logits of one shape; found {tuple(student.shape)} for the student and {tuple(teacher.shape)} "
            "for the teacher. Give both a head for spans."
        )
    mine, theirs = student.float() / temperature, teacher.float() / temperature
    if mask is not None:
        padded = (mask == 0)[..., None]
        least = torch.finfo(torch.float32).min / 4  # finite, of any temperature: 0 x infinity would be NaN
        mine, theirs = mine.masked_fill(padded, least), theirs.masked_fill(padded, least)
    return soft_cross_entropy(mine.transpose(1, 2), theirs.transpose(1, 2)).mean(-1)


def head_prediction_loss(student: Tensor, teacher: Tensor, mask: Tensor | None, temperature: float = 1.0) -> Tensor:
    """The loss on the teacher's predictions, (B,): `prediction_loss` of logits (B, C), else that of spans."""
    if student.ndim == 3:
        return span_prediction_loss(student, teacher, mask, temperature)
    return prediction_loss(student, teacher, temperature)


def head_label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss on labels, (B,): `label_loss` of logits (B, C), else that of spans."""
    return span_label_loss(logits, labels) if logits.ndim == 3 else label_loss(logits, labels)
