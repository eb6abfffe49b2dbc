"""Classifiers of any family of transformers, of which nothing is known but that they give logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from distill.errors import DistillError
from distill.inputs import XLNET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from transformers import PreTrainedModel


def foreign_logits(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """The logits of a sequence classifier of any family, in float32 whatever autocast says.

    Its head is not known, and one that computes in bf16 gives logits of 8 bits.

    Args:
        model: with its task head.
        inputs: `input_ids` (B, T), `attention_mask` (B, T) unless nothing is padded, which is on the right, and
            `token_type_ids` where the model has them.

    Returns:
        (B, C), float32.

    Raises:
        DistillError: it takes other inputs, or gives other outputs.
    """
    if model.config.model_type == XLNET:
        inputs = padded_left(inputs)
    try:
        with torch.autocast(model.device.type, enabled=False):
            logits: Tensor = model(**inputs).logits
    except (TypeError, AttributeError, ValueError) as error:
        raise DistillError(
            f"expected a classifier that takes {', '.join(inputs)} and gives logits; {type(model).__name__} failed "
            f"({str(error).splitlines()[0][:200]}). Keep its outputs in a column, and give --soft-labels."
        ) from error
    shape = len(inputs["input_ids"]), int(model.config.num_labels or 1)
    if logits.shape != shape:
        raise DistillError(
            f"expected logits {shape}, a row for each text; found {tuple(logits.shape)} from {type(model).__name__}. "
            "Give a model for sequence classification."
        )
    return logits.float()


def padded_left(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rows whose padding comes first, for a model that reads its last token: XLNet's own tokenizer pads so."""
    mask = inputs.get("attention_mask")
    if mask is None:
        return dict(inputs)
    width = mask.shape[1]
    columns = torch.arange(width, device=mask.device)[None, :]  # (1, T)
    places = (columns + mask.sum(1, keepdim=True)) % width  # (B, T)
    return {name: value.gather(1, places) for name, value in inputs.items()}
