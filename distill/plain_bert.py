"""BERT's layers as a plain function of tensors: what a training step in half precision runs in transformers' place.

A step of a small student is bound by the number of its kernels. transformers makes queries, keys and values by three
products, for each of which autocast casts the states anew, and as many times their gradients back. The sums are the
same, their last digits need not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import BertModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor
    from transformers import PreTrainedModel

    Attention = Callable[..., tuple[Tensor, Tensor | None]]


LEFT = "layers_left_to_transformers"  # attribute of a model
PRODUCTS = ("query", "key", "value", "dense")


@dataclass(frozen=True)
class PlainOutputs:
    """Outputs of the layers, by transformers' names.

    Attributes:
        hidden_states: (B, T, d) of the embedding and of every layer, float32.
        attentions: raw scores (B, h, T, T) of every layer, in half precision; None where they are not recorded.
    """

    hidden_states: tuple[Tensor, ...]
    attentions: tuple[Tensor | None, ...]

    @property
    def last_hidden_state(self) -> Tensor:
        """(B, T, d)."""
        return self.hidden_states[-1]


def leave_to_transformers(model: PreTrainedModel) -> None:
    """Keeps a model from going the plain way.

    Where losses compare nothing but scores, the last layer's values would get gradients of zeros from the one product,
    and so be decayed; without it they get none.
    """
    setattr(model, LEFT, True)


def is_plain(model: PreTrainedModel) -> bool:
    """Whether `plain_outputs` computes what the encoder of a model does: a BERT as it is, without adapters."""
    encoder: Any = model.base_model
    if type(encoder) is not BertModel or hasattr(model, LEFT):
        return False
    layer = encoder.encoder.layer[0]
    linear = [module for name, module in layer.named_modules() if name.rsplit(".", 1)[-1] in PRODUCTS]
    return not layer.gradient_checkpointing and all(type(module) is nn.Linear for module in linear)


def plain_outputs(encoder: Any, inputs: Mapping[str, Tensor], attend: Attention, dtype: torch.dtype) -> PlainOutputs:
    """Runs a BERT without its pooler.

    Args:
        encoder: `BertModel`.
        inputs: `input_ids` (B, T); `attention_mask`, numbers that are added to the scores and broadcast to
            (B, 1, T, T), unless nothing is padded; `token_type_ids` (B, T), or zeros.
        attend: attention in the form of transformers' interface, that gives raw scores where a module is marked.
        dtype: of the products; states are added up and normalised in float32.
    """
    with torch.autocast(inputs["input_ids"].device.type, enabled=False):
        states = encoder.embeddings(input_ids=inputs["input_ids"], token_type_ids=inputs.get("token_type_ids"))
        hidden, scores = [states], []
        for layer in encoder.encoder.layer:
            states, found = _layer(layer, states, inputs.get("attention_mask"), attend, dtype)
            hidden.append(states)
            scores.append(found)
    return PlainOutputs(tuple(hidden), tuple(scores))


def _layer(
    layer: Any, states: Tensor, mask: Tensor | None, attend: Attention, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """States (B, T, d) to the next ones, and the raw scores."""
    own, joined = layer.attention.self, layer.attention.output
    parts = own.query, own.key, own.value
    weight, bias = (torch.cat([getattr(part, name) for part in parts]) for name in ("weight", "bias"))
    shape = (*states.shape[:2], len(parts), own.num_attention_heads, own.attention_head_size)
    made = _product(states.to(dtype), weight, bias).view(shape)
    query, key, value = made.permute(2, 0, 3, 1, 4).contiguous().unbind(0)  # (B, h, T, d_k) each
    dropout = own.dropout.p if own.training else 0.0
    seen, scores = attend(own, query, key, value, mask, dropout=dropout, scaling=own.scaling)
    seen = _linear(joined.dense, seen.reshape(states.shape))
    states = joined.LayerNorm(joined.dropout(seen) + states)
    wide = layer.intermediate.intermediate_act_fn(_linear(layer.intermediate.dense, states.to(dtype)))
    return layer.output.LayerNorm(layer.output.dropout(_linear(layer.output.dense, wide)) + states), scores


def _linear(module: nn.Linear, states: Tensor) -> Tensor:
    return _product(states, module.weight, module.bias)


def _product(states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """In the type of the states; weights are in it already where all are cast at once (distill.cast_weights)."""
    return nn.functional.linear(states, weight.to(states.dtype), bias.to(states.dtype))
