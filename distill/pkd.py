"""BERT-PKD: labels, the teacher's predictions and its [CLS] states on the way there, in one stage.

Source: S. Sun, Y. Cheng, Z. Gan and J. Liu, Patient Knowledge Distillation for BERT Model Compression (EMNLP 2019).
The student starts from the first layers of the pre-trained encoder (`build_student(…, "first-layers")`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import torch

from distill.errors import DistillError
from distill.losses import patience_loss
from distill.objectives import Stage, check_equal_labels, given, known
from distill.outputs import encoder_outputs
from distill.spans import head_label_loss, head_prediction_loss
from distill.teacher import Teacher, TeacherTargets, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from distill.student import Student


@dataclass(frozen=True)
class PkdSettings:
    """The weights of L = (1 - α) L_CE + α T² L_DS + β L_PT; the defaults are those of the authors' example.

    Attributes:
        alpha: α, the share of the teacher's predictions; the labels have the rest.
        temperature: T, which divides both logits.
        beta: β of the patience loss, which is a mean over features and layers; 0 leaves it out.
    """

    alpha: float = 0.7
    temperature: float = 10.0
    beta: float = 500.0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise DistillError(f"expected an alpha from 0 to 1; found {self.alpha}. The authors' is 0.7.")
        if not 0 < self.temperature < float("inf"):
            raise DistillError(f"expected a temperature above 0; found {self.temperature}. The authors' is 10.")
        if not 0 <= self.beta < float("inf"):
            raise DistillError(f"expected a beta of 0 or more; found {self.beta}. The authors' is 500.")


class PkdStage(Stage):
    """All losses of BERT-PKD on labelled rows; trains the whole model.

    For a task of scores the squared differences to label and teacher take the places of L_CE and T² L_DS.

    Args:
        student: as wide as its teacher; its projections are not part of this stage.
        teacher: with the layers of `patient_layers` as its layer map.
        settings: weights of the losses.

    Raises:
        DistillError: labels, layers or widths do not fit.
    """

    name = "pkd"

    def __init__(self, student: Student, teacher: Teacher, settings: PkdSettings | None = None) -> None:
        settings = settings or PkdSettings()
        _check_fit(student, teacher, settings)
        super().__init__(student.model)
        self.settings, self.layer_map = settings, teacher.layer_map
        self.wanted = Wanted(logits=True, cls=settings.beta > 0)

    def forward(
        self, inputs: Mapping[str, Tensor], targets: TeacherTargets, labels: Tensor | None
    ) -> dict[str, Tensor]:
        """Losses "labels", "prediction" and "patience", weighted, each (B,).

        Raises:
            DistillError: no labels, or no teacher logits.
        """
        settings, found = self.settings, encoder_outputs(self.model, inputs)
        logits = cast("Tensor", found.logits)
        mask = inputs.get("attention_mask")
        soft = head_prediction_loss(logits, given(targets.logits), mask, settings.temperature)
        scale = 1.0 if logits.shape[-1] == 1 else settings.temperature**2
        losses = {
            "labels": (1 - settings.alpha) * head_label_loss(logits, known(labels)),
            "prediction": settings.alpha * scale * soft,
        }
        if settings.beta:
            student = torch.stack([states[:, 0] for states in found.hidden[1:-1]], 1)  # (B, M - 1, d)
            losses["patience"] = settings.beta * patience_loss(student, torch.stack(targets.cls, 1))
        return losses

    def identity(self) -> dict[str, object]:
        """As every stage's, with its losses and the layer map."""
        return {**super().identity(), "losses": asdict(self.settings), "layer_map": self.layer_map}


def _check_fit(student: Student, teacher: Teacher, settings: PkdSettings) -> None:
    check_equal_labels(student, teacher)
    mine, theirs = student.model.config, teacher.model.config
    if not settings.beta:
        return
    if not teacher.layer_map or len(teacher.layer_map) != mine.num_hidden_layers - 1:
        raise DistillError(
            f"expected a teacher layer for each of the student's {mine.num_hidden_layers} layers but the last; found "
            f"{teacher.layer_map}. Choose them by patient_layers, for a student of 2 layers or more."
        )
    if mine.hidden_size != theirs.hidden_size:
        raise DistillError(
            f"expected a student of the teacher's width {theirs.hidden_size}, to compare [CLS] states; found "
            f"{mine.hidden_size}. Build a student of the shape layers:N, or set beta to 0."
        )
