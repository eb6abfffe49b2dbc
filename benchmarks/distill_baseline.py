"""Layer distillation as the TinyBERT authors' task_distill.py and general_distill.py do it, to be measured beside ours.

Teacher and student run in every step on batches padded to the maximum length, with eager attention that returns the
scores of every layer, mask included; scores of -100 and less become zero and padding stays in the mean. What would
decide the losses is as in ours, so that they can be compared: the teacher is in eval mode, AdamW is the same, and
two projections without bias take the place of one with. A masked-LM loss, which the authors' code has not, is added as
a plain loop would do it: from the logits of every position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from distill.masking import UNMASKED
from distill.optimiser import make_optimiser
from distill.teacher import Precision, autocast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distill.projections import Projections
    from distill.training_settings import TrainSettings

EAGER_SCORES = "published_scores"


def eager_scores(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention by plain products; returns its output (B, T, h, d_k) and its scores (B, h, T, T), mask added."""
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.matmul(query, key.transpose(-1, -2)) * scaling + attention_mask
    weights = nn.functional.dropout(scores.softmax(-1), p=dropout, training=module.training)
    return torch.matmul(weights.to(value.dtype), value).transpose(1, 2).contiguous(), scores


AttentionInterface.register(EAGER_SCORES, eager_scores)
AttentionMaskInterface.register(EAGER_SCORES, eager_mask)


class Published:
    """The published loop over rows that are tokenised and padded beforehand.

    Args:
        teacher: with its task head, or an encoder alone.
        student: likewise; with a masked-LM head where rows come with labels.
        projections: of the student's widths to the teacher's.
        layer_map: teacher layers g(1) … g(M).
        settings: clip and optimiser.
        mlm_weight: of the masked-LM loss.
    """

    def __init__(
        self,
        teacher: Any,
        student: Any,
        projections: Projections,
        layer_map: Sequence[int],
        settings: TrainSettings,
        mlm_weight: float = 0.0,
    ) -> None:
        for model in (teacher, student):
            model.set_attn_implementation(EAGER_SCORES)
        self._teacher, self._student = teacher.eval().requires_grad_(False), student.train()
        self._projections, self._layers = projections, (0, *layer_map)
        self._precision, self._clip, self._mlm_weight = settings.precision, settings.clip, mlm_weight
        self._trained = nn.ModuleList([student, projections])
        self._optimiser = make_optimiser(self._trained, settings)

    def train(self, inputs: dict[str, Tensor], batch_rows: int, steps: int) -> None:
        """Some steps.

        Args:
            inputs: of all rows, (N, T) each, on the models' device; among them `labels` for a masked-LM loss.
            batch_rows: rows of a step.
            steps: how many; the rows come round again.
        """
        rows = len(inputs["input_ids"])
        for step in range(steps):
            chosen = torch.arange(step * batch_rows, (step + 1) * batch_rows) % rows
            self._step({name: values[chosen] for name, values in inputs.items()})

    def _step(self, inputs: dict[str, Tensor]) -> None:
        device = inputs["input_ids"].device
        with autocast(Precision(self._precision), device):
            student, teacher = self._states(inputs)
            loss = torch.zeros((), device=device)
            for mine, theirs in zip(student["scores"], teacher["scores"], strict=True):
                loss = loss + nn.functional.mse_loss(_without_mask(mine), _without_mask(theirs))
            for mine, theirs in zip(student["hidden"], teacher["hidden"], strict=True):
                loss = loss + nn.functional.mse_loss(mine, theirs)
            for logits in student["logits"]:
                loss = loss + self._masked_lm(logits.flatten(0, 1), inputs["labels"].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self._trained.parameters(), self._clip)
        self._optimiser.step()
        self._optimiser.zero_grad()
        loss.item()

    def _states(self, inputs: dict[str, Tensor]) -> tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]]:
        """Scores and hidden states, projected, of student and mapped layers; logits where there are labels."""
        labels, inputs = "labels" in inputs, {name: values for name, values in inputs.items() if name != "labels"}
        student = self._student(**inputs, output_hidden_states=True, output_attentions=True)
        with torch.no_grad():
            teacher = self._teacher(**inputs, output_hidden_states=True, output_attentions=True)
        embedding, *hidden = student.hidden_states
        mine = [self._projections.embedding(embedding), *(states @ self._projections.W_h for states in hidden)]
        theirs = [teacher.hidden_states[layer] for layer in self._layers]
        scores = [teacher.attentions[layer - 1] for layer in self._layers[1:]]
        logits = [student.logits] if labels else []
        found = {"scores": list(student.attentions), "hidden": mine, "logits": logits}
        return found, {"scores": scores, "hidden": theirs}

    def _masked_lm(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted mean over the labelled ones of logits (P, V)."""
        return self._mlm_weight * nn.functional.cross_entropy(logits, labels, ignore_index=UNMASKED)

    def take_weights(self, student: Any, projections: nn.Module) -> None:
        """Copies the weights of others of the same shapes; a head that this one was built without is passed over."""
        if type(self._student) is type(student.base_model):
            student = student.base_model
        for mine, theirs in zip(self._trained, (student, projections), strict=True):
            mine.load_state_dict(theirs.state_dict())

    def losses_without_padding(self, inputs: dict[str, Tensor]) -> Tensor:
        """The same loss of every row (B,), float64, its mean taken over the row's own positions alone; no dropout."""
        self._student.eval()
        with torch.no_grad():
            student, teacher = self._states(inputs)
        self._student.train()
        losses = torch.zeros(len(inputs["input_ids"]), dtype=torch.float64)
        for row, length in enumerate(inputs["attention_mask"].sum(1).tolist()):
            for mine, theirs in zip(student["scores"], teacher["scores"], strict=True):
                own = mine[row, :, :length, :length].double(), theirs[row, :, :length, :length].double()
                losses[row] += nn.functional.mse_loss(*own).cpu()
            for mine, theirs in zip(student["hidden"], teacher["hidden"], strict=True):
                losses[row] += nn.functional.mse_loss(mine[row, :length].double(), theirs[row, :length].double()).cpu()
            for logits in student["logits"]:
                if bool((inputs["labels"][row] != UNMASKED).any()):  # the mean over none would be no number
                    losses[row] += self._masked_lm(logits[row].double(), inputs["labels"][row]).cpu()
        return losses


def _without_mask(scores: Tensor) -> Tensor:
    return torch.where(scores <= -1e2, torch.zeros_like(scores), scores)
