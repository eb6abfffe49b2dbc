"""Task heads of the families by themselves: logits from last hidden states, as transformers' classifiers have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

POOLED = ("bert", "ernie", "mobilebert", "nomic_bert")
BY_MASK = ("modernbert", "eurobert")  # their heads may take means over an example's own tokens


def has_span_head(model: Any) -> bool:
    """Whether a model has a start and an end logit for each token."""
    return hasattr(model, "qa_outputs")


def has_task_head(model: Any) -> bool:
    """Whether `task_logits` knows the model's head."""
    return hasattr(model, "classifier") or has_span_head(model)


def task_logits(model: Any, states: Tensor, mask: Tensor | None = None) -> Tensor:
    """Logits (B, C), of spans (B, T, 2), as the head of a family of distill.families computes them.

    Args:
        model: with its task head.
        states: last hidden states (B, T, d).
        mask: (B, T), 1 at own positions; None where nothing is padded. Only BY_MASK reads it.
    """
    family = model.config.model_type
    if has_span_head(model):
        logits = model.qa_outputs(model.dropout(states) if family == "distilbert" else states)
    elif family in POOLED:
        logits = model.classifier(model.dropout(model.base_model.pooler(states)))
    elif family == "distilbert":
        first = nn.functional.relu(model.pre_classifier(states[:, 0]))
        logits = model.classifier(model.dropout(first))
    elif family == "modernbert":
        pooled = own_mean(states, mask) if model.config.classifier_pooling == "mean" else states[:, 0]
        logits = model.classifier(model.drop(model.head(pooled)))
    elif family == "eurobert" and model.classifier_pooling == "late":
        logits = own_mean(model.classifier(model.activation(model.dense(states))), mask)
    elif family == "eurobert":
        pooled = own_mean(states, mask) if model.classifier_pooling == "mean" else states[:, 0]
        logits = model.classifier(model.activation(model.dense(pooled)))
    else:
        logits = model.classifier(states)
    return cast("Tensor", logits)


def own_mean(states: Tensor, mask: Tensor | None) -> Tensor:
    """The mean (B, d) of states (B, T, d) over own positions, which a mask (B, T) tells; None for all."""
    if mask is None:
        return states.mean(1)
    return (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
