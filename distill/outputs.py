"""Outputs of a model that distillation uses: logits, raw attention scores and hidden states.

Raw scores (QKᵀ/√d, before mask and softmax: the A_i of Eq. 7) come back through a registered attention
function of transformers, only from the layers asked for; every other layer keeps the fused sdpa kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from distill.dropout import dropout as drop
from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from transformers import PreTrainedConfig, PreTrainedModel

RAW_SCORES = "tinyaug_raw_scores"
FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "distilbert")  # each is tested against eager attention


def raw_scores_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention that also returns its raw scores where the module is marked, and is plain sdpa elsewhere.

    Args:
        module: the attention module; its `record_raw_scores` says whether scores are wanted.
        query: (B, h, T, d_k).
        key: (B, h, T, d_k).
        value: (B, h, T, d_k).
        attention_mask: (B, 1, T, T), added to the scores, or bool, True where attention is allowed; None without
            padding.
        dropout: probability of dropping an attention weight.
        scaling: the factor on the scores; None means 1/√d_k.
        kwargs: further arguments for sdpa.

    Returns:
        The attention output (B, T, h, d_k), and the raw scores (B, h, T, T) or None.
    """
    kwargs.pop("output_attentions", None)  # sdpa would warn that it cannot return any
    if not getattr(module, "record_raw_scores", False):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling  # (B, h, T, d_k) x (B, h, d_k, T) -> (B, h, T, T)
    allowed = scores
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        allowed = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        allowed = scores + attention_mask
    # The kernel computes in float32 in any case; the type keeps autocast from copies in float32 around it.
    weights = drop(torch.softmax(allowed, dim=-1, dtype=value.dtype), dropout, module.training)
    output = torch.matmul(weights, value)
    return output.transpose(1, 2).contiguous(), scores  # (B, h, T, d_k) -> (B, T, h, d_k)


# The layers that return scores, by model: asking the modules takes a walk over all of them.
_RECORDED: WeakKeyDictionary[nn.Module, tuple[int, ...]] = WeakKeyDictionary()

AttentionInterface.register(RAW_SCORES, raw_scores_attention)
AttentionMaskInterface.register(RAW_SCORES, sdpa_mask)


@dataclass(frozen=True)
class EncoderOutputs:
    """Outputs of one forward pass.

    Attributes:
        hidden: hidden states (B, T, d) of the embedding (first) and of every layer.
        scores: layer number (from 1) to raw attention scores (B, h, T, T).
        logits: (B, C), or None when the head was not run.
    """

    hidden: tuple[Tensor, ...]
    scores: Mapping[int, Tensor]
    logits: Tensor | None


def check_family(config: PreTrainedConfig, who: str = "model") -> None:
    """Refuses models whose outputs were never verified here.

    Args:
        config: of the model.
        who: the model, for the message.

    Raises:
        DistillError: the model is not an encoder of FAMILIES with absolute positions.
    """
    if config.model_type not in FAMILIES:
        raise DistillError(
            f"{who}: expected an encoder of the families {', '.join(FAMILIES)}; found the type {config.model_type!r}. "
            "Use a model of one of these families."
        )
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        raise DistillError(
            f"{who}: expected an encoder; found a decoder (is_decoder or add_cross_attention). Use an encoder."
        )
    positions = getattr(config, "position_embedding_type", "absolute") or "absolute"
    if positions != "absolute":
        raise DistillError(
            f"{who}: expected absolute position embeddings; found {positions!r}, whose extra term in the scores "
            "transformers 5 does not compute. Use a model with absolute positions."
        )


def attention_modules(model: PreTrainedModel) -> list[nn.Module]:
    """The self-attention modules of the encoder, in layer order; N of them for N layers.

    Raises:
        DistillError: unsupported model, or a release of transformers that builds it otherwise.
    """
    check_family(model.config, type(model).__name__)
    encoder = model.base_model
    # The class that transformers itself hooks to collect attentions.
    kind = cast("dict[str, type[nn.Module]]", encoder._can_record_outputs)["attentions"]
    modules = [module for module in encoder.modules() if isinstance(module, kind)]
    if len(modules) != model.config.num_hidden_layers:
        raise DistillError(
            f"expected {model.config.num_hidden_layers} attention modules; found {len(modules)} in "
            f"{type(model).__name__}. This release of transformers builds it otherwise: report its version."
        )
    return modules


def record_scores(model: PreTrainedModel, layers: Iterable[int]) -> None:
    """Makes `model` return raw scores at `layers` from now on, and use fused attention at all others.

    Args:
        model: an encoder of FAMILIES, with or without a head; changed in place, weights untouched.
        layers: layer numbers from 1; an empty one means fused attention everywhere.

    Raises:
        DistillError: unsupported model, or a layer that it does not have.
    """
    wanted = set(layers)
    modules = attention_modules(model)
    outside = sorted(wanted - set(range(1, len(modules) + 1)))
    if outside:
        raise DistillError(
            f"expected layers between 1 and {len(modules)}; found {outside}. Choose layers the model has."
        )
    for number, module in enumerate(modules, start=1):
        module.record_raw_scores = number in wanted  # type: ignore[assignment]
    model.set_attn_implementation(RAW_SCORES)
    _RECORDED[model] = tuple(sorted(wanted))


def recorded_layers(model: PreTrainedModel) -> tuple[int, ...]:
    """The layer numbers (from 1) that record_scores chose, ascending."""
    if model not in _RECORDED:  # never prepared, or a copy
        modules = attention_modules(model)
        _RECORDED[model] = tuple(n for n, one in enumerate(modules, 1) if getattr(one, "record_raw_scores", False))
    return _RECORDED[model]


def encoder_outputs(model: PreTrainedModel, inputs: Mapping[str, Tensor], *, head: bool = True) -> EncoderOutputs:
    """Runs the model once and returns its outputs for distillation.

    Args:
        model: an encoder prepared by record_scores.
        inputs: `input_ids` (B, T), `attention_mask` (B, T) unless nothing is padded, and `token_type_ids` where the
            model has them.
        head: whether to run the task head; without it the encoder alone runs and logits are None.

    Returns:
        Logits, hidden states of embedding and all layers, and raw scores of the recorded layers.

    Raises:
        DistillError: the model was not prepared by record_scores.
    """
    layers = recorded_layers(model)
    if model.config._attn_implementation != RAW_SCORES:
        raise DistillError(
            f"expected attention {RAW_SCORES!r}; found {model.config._attn_implementation!r}. "
            "Call record_scores(model, layers) first."
        )
    inputs = _with_added_mask(model, inputs)
    wanted = {"output_hidden_states": True, "output_attentions": bool(layers)}
    found, logits = _run_with_head(model, inputs, **wanted) if head else (model.base_model(**inputs, **wanted), None)
    scores = dict(zip(layers, found.attentions or (), strict=True))
    return EncoderOutputs(tuple(found.hidden_states), scores, logits)


def model_logits(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """The logits (B, C), of spans (B, T, 2), alone, in fp32 under autocast; no hidden state or score is kept."""
    return cast("Tensor", _run_with_head(model, _with_added_mask(model, inputs))[1])


def last_states(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """The encoder's last hidden states (B, T, d) alone; no other layer's are kept."""
    return cast("Tensor", model.base_model(**_with_added_mask(model, inputs)).last_hidden_state)


def _with_added_mask(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turns the mask into numbers (B, 1, T, T) that attention adds to its scores: 0 at own columns, else the least.

    Of a mask (B, T) transformers asks the device whether anything is padded, and sdpa converts it in each layer.
    """
    mask = inputs.get("attention_mask")
    if mask is None or mask.ndim != 2:
        return dict(inputs)
    device = mask.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else model.dtype
    added = mask.to(dtype, copy=True).sub_(1).mul_(torch.finfo(dtype).max)[:, None, None, :]  # (B, 1, 1, T)
    return {**inputs, "attention_mask": added.expand(-1, -1, mask.shape[1], -1)}


def _run_with_head(model: PreTrainedModel, inputs: Mapping[str, Tensor], **wanted: bool) -> tuple[Any, Any]:
    """The encoder's outputs and the logits (B, C), of spans (B, T, 2), whose head is left out of autocast.

    bf16 has 8 bits of mantissa: a score of 4.3 would be rounded to a multiple of 1/32.
    """
    device = model.device.type
    if not torch.is_autocast_enabled(device) or not has_task_head(model):
        found = model(**inputs, **wanted)
        if has_span_head(model):
            return found, torch.stack((found.start_logits, found.end_logits), -1)
        return found, getattr(found, "logits", None)
    found = model.base_model(**inputs, **wanted)
    with torch.autocast(device, enabled=False):
        return found, task_logits(model, found.last_hidden_state.float())


def has_span_head(model: PreTrainedModel) -> bool:
    """Whether a model has a start and an end logit for each token."""
    return hasattr(model, "qa_outputs")


def has_task_head(model: PreTrainedModel) -> bool:
    """Whether `task_logits` knows the model's head."""
    return hasattr(model, "classifier") or has_span_head(model)


def task_logits(model: Any, states: Tensor) -> Tensor:
    """Logits (B, C), of spans (B, T, 2), from last hidden states (B, T, d), as transformers' heads compute them."""
    if has_span_head(model):
        spread = model.dropout(states) if model.config.model_type == "distilbert" else states
        return cast("Tensor", model.qa_outputs(spread))
    if model.config.model_type == "bert":
        return cast("Tensor", model.classifier(model.dropout(model.base_model.pooler(states))))
    if model.config.model_type == "distilbert":
        first = nn.functional.relu(model.pre_classifier(states[:, 0]))
        return cast("Tensor", model.classifier(model.dropout(first)))
    return cast("Tensor", model.classifier(states))


def embedding_output(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """The embedding layer's output alone, `hidden_states[0]`: (B, T, d), E of Eq. 9.

    Cheap, so a teacher cache leaves it out and recomputes it.
    """
    encoder = cast("Any", model.base_model)
    accepted = {name: value for name, value in inputs.items() if name in ("input_ids", "token_type_ids")}
    output: Tensor = encoder.embeddings(**accepted)
    if hasattr(encoder, "embeddings_project"):  # ELECTRA with embeddings narrower than its layers
        output = encoder.embeddings_project(output)
    return output
