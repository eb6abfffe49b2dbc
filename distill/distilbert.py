"""DistilBERT: a student learns a masked LM's predictions, the masked tokens, and the direction of its last states.

Source: V. Sanh, L. Debut, J. Chaumond and T. Wolf, DistilBERT, a distilled version of BERT (2019), sections 2 and 3,
and the authors' code. The student starts from layers of its teacher (`LayerMap.DISTILBERT`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from distill.checks import check_equal_embeddings
from distill.distances import Own
from distill.errors import DistillError
from distill.general import check_head, example_means, head_logits, teacher_logits
from distill.losses import soft_cross_entropy
from distill.masking import UNMASKED
from distill.objectives import Stage
from distill.outputs import encoder_outputs
from distill.teacher import Teacher, TeacherTargets, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from distill.student import Student


@dataclass(frozen=True)
class DistilbertSettings:
    """The weights of L = a T² L_ce + b L_mlm + c L_cos; the defaults are those that the authors' code is run with.

    Attributes:
        soft: a, of the cross-entropy with the teacher's predictions at every token.
        masked: b, of the cross-entropy with the tokens that were masked.
        cosine: c, of the angle between the last hidden states; 0 leaves it out.
        temperature: T, which divides both logits in L_ce.

    Raises:
        DistillError: a weight below 0, none above, or no temperature above 0.
    """

    soft: float = 5.0
    masked: float = 2.0
    cosine: float = 1.0
    temperature: float = 2.0

    def __post_init__(self) -> None:
        weights = (self.soft, self.masked, self.cosine)
        if not all(0 <= weight < float("inf") for weight in weights) or not any(weights):
            raise DistillError(
                f"expected weights of 0 or more, one of them above 0; found {weights}. The authors' are 5, 2 and 1."
            )
        if not 0 < self.temperature < float("inf"):
            raise DistillError(f"expected a temperature above 0; found {self.temperature}. The authors' is 2.")


def cosine_loss(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """L_cos: 1 - cos of the angle between the states of a position, its mean over an example's own positions.

    Args:
        student: hidden states (B, T, d).
        teacher: likewise.
        mask: (B, T), true (or 1) at an example's own positions; None where nothing is padded.

    Returns:
        (B,), from 0 to 2.
    """
    padded = Own(mask).padded
    if padded is not None:  # whatever stands there reaches neither value nor gradient
        student, teacher = student.masked_fill(padded, 1.0), teacher.masked_fill(padded, 1.0)
    return own_mean(1 - nn.functional.cosine_similarity(student.float(), teacher.float(), dim=-1), mask)


def own_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean (B,) of values (B, T) over each example's own positions, which a mask (B, T) tells; None for all."""
    if mask is None:
        return values.mean(-1)
    own = mask.bool()
    return torch.where(own, values, 0.0).sum(-1) / own.sum(-1)


class DistilbertStage(Stage):
    """The pre-training of DistilBERT, over masked text that student and teacher both see; trains the whole model.

    Args:
        student: a BERT masked LM as wide as its teacher; its projections are not part of this stage.
        teacher: a BERT masked LM with its last layer as its layer map.
        settings: weights of the losses.

    Raises:
        DistillError: heads, widths, vocabularies or the layer map do not fit.
    """

    name = "distilbert"

    def __init__(self, student: Student, teacher: Teacher, settings: DistilbertSettings | None = None) -> None:
        settings = settings or DistilbertSettings()
        _check_fit(student, teacher, settings)
        super().__init__(student.model)
        self.settings, self.layer_map = settings, teacher.layer_map
        self.teacher = teacher  # no module: its weights are no part of this stage
        self.wanted = Wanted(hidden=settings.soft > 0 or settings.cosine > 0)
        if not (settings.soft or settings.masked):
            inside = set(self.model.base_model.parameters())  # with what is tied to the embeddings
            for parameter in set(self.model.parameters()) - inside:
                parameter.requires_grad_(False)

    def forward(
        self, inputs: Mapping[str, Tensor], targets: TeacherTargets, labels: Tensor | None
    ) -> dict[str, Tensor]:
        """Losses "prediction", "mlm" and "cosine", weighted, those of a weight above 0, each (B,).

        L_ce is a mean over all own positions, L_mlm over the masked ones, as in the authors' code, but of each example
        by itself. L_ce is the cross-entropy of the paper; their code has the divergence, whose gradient is the same.

        Args:
            inputs: what the model takes, (B, T) each.
            targets: the teacher's outputs for the same inputs.
            labels: (3, P): row, column and id of each masked token, and fillers; see `masking.masked_places`.

        Raises:
            DistillError: a masked-LM loss, but no masked tokens.
        """
        settings, mask = self.settings, inputs.get("attention_mask")
        last = encoder_outputs(self.model, inputs, head=False).hidden[-1]
        losses: dict[str, Tensor] = {}
        if settings.soft:
            logits = head_logits(self.model, last.flatten(0, 1))  # (B·T, V): padding is computed, too, for fixed shapes
            theirs = teacher_logits(self.teacher, targets.hidden[0].flatten(0, 1))
            soft = soft_cross_entropy(logits, theirs, settings.temperature).view(last.shape[:2])
            losses["prediction"] = settings.soft * settings.temperature**2 * own_mean(soft, mask)
        if settings.masked:
            if labels is None or labels.ndim != 2:
                raise DistillError(
                    "expected masked tokens for the masked-LM loss; found none. Give the stream a masking."
                )
            rows, columns, ids = labels
            if settings.soft:
                guessed = logits[rows * last.shape[1] + columns]
            else:
                guessed = head_logits(self.model, last[rows, columns])
            values = nn.functional.cross_entropy(guessed.float(), ids, reduction="none", ignore_index=UNMASKED)
            losses["mlm"] = settings.masked * example_means(values, rows, ids != UNMASKED, len(last))
        if settings.cosine:
            losses["cosine"] = settings.cosine * cosine_loss(last, targets.hidden[0], mask)
        return losses

    def identity(self) -> dict[str, object]:
        """As every stage's, with its losses."""
        return {**super().identity(), "losses": asdict(self.settings), "layer_map": self.layer_map}


def _check_fit(student: Student, teacher: Teacher, settings: DistilbertSettings) -> None:
    mine, theirs = student.model.config, teacher.model.config
    if settings.soft or settings.masked:
        check_head(student.model, "student")
    if settings.soft:
        check_head(teacher.model, "teacher")
        check_equal_embeddings(mine, theirs)
    if settings.cosine and mine.hidden_size != theirs.hidden_size:
        raise DistillError(
            f"expected a student of the teacher's width {theirs.hidden_size}, to compare the last hidden states; found "
            f"{mine.hidden_size}. Build a student of the shape layers:N, or set cosine to 0."
        )
    last = (cast("int", theirs.num_hidden_layers),)
    if teacher.layer_map != last:
        raise DistillError(
            f"expected the teacher's last layer alone as its layer map {last}; found {teacher.layer_map}. Make the "
            "teacher with it."
        )
