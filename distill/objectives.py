"""The stages: what each one trains, and on which losses. The loop in distill.training is the same for all.

A stage is a module whose forward returns one loss for each example and kind. It says which targets it wants, and
building it freezes exactly the parameters that its losses do not reach.
"""

# ruff: noqa: ARG002 - the loop passes more than some stages use

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from torch import nn

from distill.dropout import quicken_dropout
from distill.errors import DistillError
from distill.families import attention_window
from distill.losses import (
    HeadReduction,
    LayerStates,
    LossSettings,
    intermediate_losses,
)
from distill.outputs import encoder_outputs, model_logits, record_scores
from distill.plain_bert import leave_to_transformers
from distill.spans import head_label_loss, head_prediction_loss
from distill.teacher import Wanted
from distill.weights import in_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor
    from transformers import PreTrainedModel

    from distill.outputs import EncoderOutputs
    from distill.student import Student
    from distill.teacher import Teacher, TeacherTargets


# Fields of a configuration that a checkpoint's weights do not show, or only by failing to load.
SHAPE = (
    "model_type",
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
)


class Stage(nn.Module):
    """A model with its losses; all of its parameters are trained.

    Args:
        model: the model that is trained and saved; changed in place.
        scored: its layers whose attention scores the losses compare.

    Attributes:
        name: for logs and checkpoints.
        wanted: the teacher's outputs it needs.
        captured: whether its step may run as a CUDA graph, which must ask nothing of the device.
        reaches_all: whether its losses reach every trainable parameter (what DDP needs to know).
    """

    name = "stage"
    wanted = Wanted()
    reaches_all = True
    captured = True

    def __init__(self, model: PreTrainedModel, scored: Iterable[int] = ()) -> None:
        super().__init__()
        self.model = model
        record_scores(model, scored)
        quicken_dropout(model)
        self.requires_grad_(True)

    def forward(
        self, inputs: Mapping[str, Tensor], targets: TeacherTargets, labels: Tensor | None
    ) -> dict[str, Tensor]:
        """Losses by kind, each (B,).

        Args:
            inputs: what the model takes, (B, T) each; no mask where nothing is padded.
            targets: the teacher's outputs that `wanted` asks for.
            labels: (B,) or None.
        """
        raise NotImplementedError

    def identity(self) -> dict[str, object]:
        """Plain values that decide the losses beside weights and data; a resumed run must share them."""
        return {"model": {name: getattr(self.model.config, name, None) for name in SHAPE}}


class IntermediateStage(Stage):
    """Eqs. 7-9: all layers of the student learn from the mapped layers; pooler and classifier are frozen.

    Args:
        student: model and projections.
        teacher: its layers, heads and widths are checked against the student's.
        settings: the losses and their weights.

    Raises:
        DistillError: head counts, layer map, weights or projections do not fit.
    """

    name = "intermediate"

    def __init__(self, student: Student, teacher: Teacher, settings: LossSettings) -> None:
        layers = student.model.config.num_hidden_layers
        _check_fit(student, teacher, settings)
        settings.weights(layers)
        super().__init__(student.model, range(1, layers + 1) if settings.attention else ())
        self.layers, self.layer_map = layers, teacher.layer_map
        self.projections = student.projections
        self.settings = settings
        self.wanted = Wanted(hidden=settings.hidden, scores=settings.attention, embedding=settings.embedding)
        self.windows = [
            _narrower(*both)
            for both in zip(_windows(student, range(1, layers + 1)), _windows(teacher, self.layer_map), strict=True)
        ]
        # Without the hidden loss nothing reaches the last layer's values and feed-forward.
        self.reaches_all = settings.hidden
        if not settings.hidden:
            leave_to_transformers(self.model)
        for name, parameter in self.model.named_parameters():
            if in_head(self.model, name):
                parameter.requires_grad_(False)
        self.projections.W_h.requires_grad_(settings.hidden)
        self.projections.W_e.requires_grad_(settings.embedding)

    def forward(
        self, inputs: Mapping[str, Tensor], targets: TeacherTargets, labels: Tensor | None
    ) -> dict[str, Tensor]:
        """Losses "embedding", "attention" and "hidden", those that are switched on; labels go unused."""
        return self.layer_losses(encoder_outputs(self.model, inputs, head=False), inputs.get("attention_mask"), targets)

    def layer_losses(self, found: EncoderOutputs, mask: Tensor | None, targets: TeacherTargets) -> dict[str, Tensor]:
        """Eqs. 7-9 of the student's outputs, each (B,); the mask (B, T) is None where nothing is padded."""
        settings = self.settings
        student = LayerStates(
            self.projections.embedding(found.hidden[0]) if settings.embedding else None,
            self.projections.hidden(found.hidden[1:]) if settings.hidden else (),
            tuple(found.scores.values()),
        )
        teacher = LayerStates(targets.embedding, targets.hidden, targets.scores)
        return intermediate_losses(student, teacher, mask, settings, self.layers, self.windows)

    def identity(self) -> dict[str, object]:
        """As every stage's, with its losses and the layer map."""
        windows = {"windows": self.windows} if any(self.windows) else {}
        return {**super().identity(), "losses": asdict(self.settings), "layer_map": self.layer_map, **windows}


class PredictionStage(Stage):
    """Eq. 10, for regression the squared difference to the teacher's score; trains the whole model.

    Of a head for spans, Eq. 10 is taken over the positions, for starts and for ends.

    Args:
        student: its projections are not part of this stage.
        teacher: the number of labels is checked.
        settings: temperature and λ_{M+1}.

    Raises:
        DistillError: numbers of labels differ.
    """

    name = "prediction"
    wanted = Wanted(logits=True)

    def __init__(self, student: Student, teacher: Teacher, settings: LossSettings) -> None:
        check_equal_labels(student, teacher)
        super().__init__(student.model)
        self.temperature = settings.temperature
        self.weight = settings.weights(student.model.config.num_hidden_layers)[-1]

    def forward(
        self, inputs: Mapping[str, Tensor], targets: TeacherTargets, labels: Tensor | None
    ) -> dict[str, Tensor]:
        """The loss "prediction"; labels go unused: augmented texts have no labels of their own."""
        logits = model_logits(self.model, inputs)
        mask = inputs.get("attention_mask")
        return {"prediction": self.weight * head_prediction_loss(logits, given(targets.logits), mask, self.temperature)}

    def identity(self) -> dict[str, object]:
        """As every stage's, with its loss."""
        return {**super().identity(), "losses": {"temperature": self.temperature, "weight": self.weight}}


class LabelStage(Stage):
    """Ordinary fine-tuning on labels: cross-entropy, for spans of start and end; squared difference for regression."""

    name = "labels"

    def forward(
        self, inputs: Mapping[str, Tensor], targets: TeacherTargets, labels: Tensor | None
    ) -> dict[str, Tensor]:
        """The loss "labels"; there are no teacher targets."""
        return {"labels": head_label_loss(model_logits(self.model, inputs), known(labels))}


def given(logits: Tensor | None) -> Tensor:
    """A teacher's logits (B, C).

    Raises:
        DistillError: no logits.
    """
    if logits is None:
        raise DistillError("expected teacher logits; found none. Give the loop a source of targets.")
    return logits


def known(labels: Tensor | None) -> Tensor:
    """The labels of a batch (B,).

    Raises:
        DistillError: no labels.
    """
    if labels is None:
        raise DistillError("expected labels; found none. Name the label column of the data.")
    return labels


def check_equal_labels(student: Student, teacher: Teacher) -> None:
    """Refuses a student that predicts another number of labels than its teacher.

    Raises:
        DistillError: it does.
    """
    mine, theirs = student.model.config.num_labels, teacher.model.config.num_labels
    if mine != theirs:
        raise DistillError(
            f"expected {theirs} labels as the teacher has; found {mine} in the student. Build the student for this "
            "teacher."
        )


def _windows(owner: Student | Teacher, layers: Iterable[int]) -> list[int | None]:
    return [attention_window(owner.model.config, layer) for layer in layers]


def _narrower(mine: int | None, theirs: int | None) -> int | None:
    """The window of the pairs of tokens that both layers look at."""
    return min(window for window in (mine, theirs) if window is not None) if mine or theirs else None


def _check_fit(student: Student, teacher: Teacher, settings: LossSettings) -> None:
    mine, theirs = student.model.config, teacher.model.config
    if len(teacher.layer_map) != mine.num_hidden_layers:
        raise DistillError(
            f"expected one mapped teacher layer for each of the student's {mine.num_hidden_layers}; found "
            f"{teacher.layer_map}. Resolve the layer map for this student."
        )
    heads = mine.num_attention_heads, theirs.num_attention_heads
    if settings.attention and heads[0] != heads[1] and settings.heads is HeadReduction.NONE:
        raise DistillError(
            f"expected {heads[1]} attention heads as the teacher has; found {heads[0]} in the student. Give the "
            "student as many, or compare means over heads (heads: mean)."
        )
    shape = mine.hidden_size, theirs.hidden_size
    if student.projections.W_h.shape != torch.Size(shape):
        raise DistillError(
            f"expected projections {shape}; found {tuple(student.projections.W_h.shape)}. Make them for this "
            "student and teacher."
        )
