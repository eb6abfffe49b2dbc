"""General distillation (section 3.2 of the paper): Eqs. 7-9 over a text corpus, with a masked-LM loss where asked for.

Student and teacher see the same masked text, as in the authors' code: one forward pass of each serves all losses, and
the teacher's states at a masked position are what it infers from the context.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from distill.checks import check_equal_embeddings
from distill.errors import DistillError
from distill.losses import soft_cross_entropy
from distill.masking import PLACES, UNMASKED
from distill.objectives import IntermediateStage
from distill.outputs import encoder_outputs, record_scores
from distill.precision import autocast
from distill.teacher import Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from transformers import PreTrainedModel

    from distill.losses import LossSettings
    from distill.student import Student
    from distill.teacher import Teacher, TeacherTargets


@dataclass(frozen=True)
class MaskedLmLoss:
    """The losses at masked positions.

    Attributes:
        weight: weight of the cross-entropy with the masked token.
        soft: weight of the cross-entropy with the teacher's prediction.
        temperature: temperature of the soft cross-entropy, on both logits.
    """

    weight: float = 0.0
    soft: float = 0.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value >= 0 for value in (self.weight, self.soft)):
            raise DistillError(f"expected masked-LM weights of 0 or more; found {self.weight}, {self.soft}.")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise DistillError(f"expected a temperature above 0; found {self.temperature}. 1 is usual.")

    @property
    def on(self) -> bool:
        """Whether a masked-LM loss counts, which needs masked tokens."""
        return self.weight > 0 or self.soft > 0


class GeneralStage(IntermediateStage):
    """Eqs. 7-9 without prediction, and a masked-LM loss with the student's own head where it is on.

    Args:
        student: a masked LM and its projections.
        teacher: with a masked-LM head where the soft loss is on.
        settings: of Eqs. 7-9.
        masked_lm: of the masked-LM loss.

    Raises:
        DistillError: heads, layer map or widths do not fit; a masked-LM loss without the head for it; no loss at all.
    """

    name = "general"

    def __init__(
        self, student: Student, teacher: Teacher, settings: LossSettings, masked_lm: MaskedLmLoss | None = None
    ) -> None:
        super().__init__(student, teacher, settings)
        self.masked_lm = masked_lm or MaskedLmLoss()
        self.of_layers = settings.of_layers(self.layers)
        if not self.of_layers:
            self._leave_layers_out()
        self.teacher = teacher if self.masked_lm.soft else None  # no module: its weights are no part of this stage
        inside = set(self.model.base_model.parameters())  # with what is tied to the embeddings
        for parameter in set(self.model.parameters()) - inside:
            parameter.requires_grad_(self.masked_lm.on)
        if self.masked_lm.on:
            check_head(self.model, "student")
            self.reaches_all = True
        if self.masked_lm.soft:
            check_head(teacher.model, "teacher")
            check_equal_embeddings(self.model.config, teacher.model.config)
            if teacher.model.config.num_hidden_layers not in teacher.layer_map:
                raise DistillError(
                    "expected the teacher's last layer in the layer map, for its predictions are made from it; found "
                    f"{teacher.layer_map}. Use the map uniform or top, or leave the soft masked-LM loss out."
                )
            self.wanted |= Wanted(hidden=True)

    def forward(
        self, inputs: Mapping[str, Tensor], targets: TeacherTargets, labels: Tensor | None
    ) -> dict[str, Tensor]:
        """Losses "embedding", "attention", "hidden", "mlm" and "mlm_soft", those that are on, each (B,).

        Where all weights of layers are 0, the losses of layers are left out.

        Args:
            inputs: what the model takes, (B, T) each.
            targets: the teacher's outputs for the same inputs.
            labels: (3, P): row, column and id of each masked token, and fillers, as `masking.masked_places` gives
                them; None without masking.

        Raises:
            DistillError: a masked-LM loss, but no masked tokens.
        """
        found = encoder_outputs(self.model, inputs, head=False)
        losses = self.layer_losses(found, inputs.get("attention_mask"), targets) if self.of_layers else {}
        if not self.masked_lm.on:
            return losses
        if labels is None or labels.ndim != 2:
            raise DistillError("expected masked tokens for the masked-LM loss; found none. Give the stream a masking.")
        rows, columns, ids = labels
        own, examples = ids != UNMASKED, len(inputs["input_ids"])
        logits = head_logits(self.model, found.hidden[-1][rows, columns]).float()
        if self.masked_lm.weight:
            values = nn.functional.cross_entropy(logits, ids, reduction="none", ignore_index=UNMASKED)
            losses["mlm"] = self.masked_lm.weight * example_means(values, rows, own, examples)
        if self.teacher is not None:
            last = self.teacher.layer_map.index(cast("int", self.teacher.model.config.num_hidden_layers))
            theirs = teacher_logits(self.teacher, targets.hidden[last][rows, columns])
            values = soft_cross_entropy(logits, theirs, self.masked_lm.temperature)
            losses["mlm_soft"] = self.masked_lm.soft * example_means(values, rows, own, examples)
        return losses

    def _leave_layers_out(self) -> None:
        """Leaves out losses that would be multiplied by 0: neither teacher nor student computes their states."""
        if not self.masked_lm.on:
            raise DistillError("expected a loss with a weight above 0; found none. Raise a layer's weight.")
        self.wanted = Wanted()
        record_scores(self.model, ())
        self.projections.requires_grad_(False)

    def identity(self) -> dict[str, object]:
        """As the intermediate stage's, with the masked-LM loss."""
        return {**super().identity(), "masked_lm": asdict(self.masked_lm)}


def teacher_logits(teacher: Teacher, states: Tensor) -> Tensor:
    """A teacher's predictions (P, V) at positions whose last hidden states are (P, d)."""
    with torch.no_grad(), autocast(teacher.precision, teacher.model.device):
        return head_logits(teacher.model, states).float()


def head_logits(model: PreTrainedModel, states: Tensor) -> Tensor:
    """Logits (P, V) of a BERT masked LM for last hidden states (P, d).

    Rows of zeros round P up: on a CPU oneDNN keeps a kernel, with working memory of the size of the vocabulary's
    embeddings, for each number of rows it has seen, which came to gigabytes.
    """
    return token_logits(cast("nn.Module", model.cls), states)


def token_logits(head: nn.Module, states: Tensor) -> Tensor:
    """The same of a masked-LM head that stands beside another one."""
    padded = nn.functional.pad(states, (0, 0, 0, -len(states) % PLACES))
    return cast("Tensor", head(padded))[: len(states)]


def example_means(values: Tensor, rows: Tensor, own: Tensor, examples: int) -> Tensor:
    """The mean of each example's own values, 0 for an example without values.

    Args:
        values: (P,).
        rows: the example of each value (P,).
        own: (P,), true for a value that counts, false for a filler.
        examples: B.

    Returns:
        (B,); examples without values keep a gradient of zero, which DDP needs.
    """
    nothing = values.new_zeros(examples)
    sums = nothing.index_add(0, rows, torch.where(own, values, 0.0))
    return sums / nothing.index_add(0, rows, own.to(values.dtype)).clamp(min=1)


def check_head(model: PreTrainedModel, who: str) -> None:
    """Refuses a model without the masked-LM head that the losses of tokens know.

    Args:
        model: the model.
        who: it is, for the message.

    Raises:
        DistillError: it has none.
    """
    if model.config.model_type != "bert" or not hasattr(model, "cls"):
        raise DistillError(
            f"expected a BERT masked LM as {who}, for a masked-LM loss; found {type(model).__name__}. Set the "
            "masked-LM weights to 0, or use a BERT."
        )
