"""Outputs of a model that distillation uses: logits, raw attention scores and hidden states.

Raw scores (QKᵀ/√d, before mask and softmax: the A_i of Eq. 7) come back through a registered attention
function of transformers, only from the layers asked for; every other layer keeps the fused sdpa kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from distill.dropout import dropout as drop
from distill.errors import DistillError
from distill.families import SLIDING, check_family, has_known_layers, has_windows
from distill.foreign import foreign_logits
from distill.mpnet import MPNetSelfAttention, ScoredMPNetAttention
from distill.onnx_model import OnnxModel
from distill.plain_bert import is_plain, plain_outputs
from distill.task_heads import BY_MASK, has_span_head, has_task_head, task_logits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from transformers import PreTrainedModel

RAW_SCORES = "tinyaug_raw_scores"


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
        key: (B, h, T, d_k), or fewer heads that are shared by groups (EuroBERT's `num_key_value_heads`).
        value: as the keys.
        attention_mask: (B, 1, T, T), added to the scores, or bool, True where attention is allowed; None without
            padding.
        dropout: probability of dropping an attention weight.
        scaling: the factor on the scores; None means 1/√d_k.
        kwargs: further arguments for sdpa; `position_bias` (B, h, T, T) or None is a part of the scores (MPNet).

    Returns:
        The attention output (B, T, h, d_k), and the raw scores (B, h, T, T) or None.
    """
    kwargs.pop("output_attentions", None)  # sdpa would warn that it cannot return any
    position_bias: Tensor | None = kwargs.pop("position_bias", None)
    if not getattr(module, "record_raw_scores", False):
        if position_bias is not None:
            attention_mask = position_bias if attention_mask is None else position_bias + attention_mask
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if (groups := getattr(module, "num_key_value_groups", 1)) > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling  # (B, h, T, d_k) x (B, h, d_k, T) -> (B, h, T, T)
    if position_bias is not None:
        scores = scores + position_bias
    allowed = scores
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        allowed = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        allowed = scores + attention_mask
    # The kernel computes in float32 in any case; the type keeps autocast from copies in float32 around it.
    weights = drop(torch.softmax(allowed, dim=-1, dtype=value.dtype), dropout, module.training)
    output = torch.matmul(weights, value)
    return output.transpose(1, 2).contiguous(), scores  # (B, h, T, d_k) -> (B, T, h, d_k)


RECORDED = "layers_with_raw_scores"  # attribute of a model: asking its modules takes a walk over all of them

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


def attention_modules(model: PreTrainedModel) -> list[nn.Module]:
    """The self-attention modules of the encoder, in layer order; N of them for N layers.

    Raises:
        DistillError: unsupported model, or a release of transformers that builds it otherwise.
    """
    check_family(model.config, type(model).__name__)
    encoder = model.base_model
    kind: type[nn.Module] = MPNetSelfAttention
    if model.config.model_type != "mpnet":  # the class that transformers itself hooks to collect attentions
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
        model: an encoder of FAMILIES, with or without a head; changed in place, weights untouched. A classifier of
            another family stays as it is.
        layers: layer numbers from 1; an empty one means fused attention everywhere.

    Raises:
        DistillError: unsupported model, or a layer that it does not have.
    """
    wanted = set(layers)
    if not wanted and not has_known_layers(model.config):  # known by its logits alone
        return
    modules = attention_modules(model)
    outside = sorted(wanted - set(range(1, len(modules) + 1)))
    if outside:
        raise DistillError(
            f"expected layers between 1 and {len(modules)}; found {outside}. Choose layers the model has."
        )
    for number, module in enumerate(modules, start=1):
        module.record_raw_scores = number in wanted  # type: ignore[assignment]
        if isinstance(module, MPNetSelfAttention):
            module.__class__, module.attend = ScoredMPNetAttention, raw_scores_attention  # type: ignore[assignment]
    if model.config.model_type != "mpnet":
        model.set_attn_implementation(RAW_SCORES)
    setattr(model, RECORDED, tuple(sorted(wanted)))


def recorded_layers(model: PreTrainedModel) -> tuple[int, ...]:
    """The layer numbers (from 1) that record_scores chose, ascending."""
    if not has_known_layers(model.config):
        return ()
    if not hasattr(model, RECORDED):  # never prepared
        marked = enumerate((getattr(one, "record_raw_scores", False) for one in attention_modules(model)), start=1)
        setattr(model, RECORDED, tuple(number for number, is_marked in marked if is_marked))
    return cast("tuple[int, ...]", getattr(model, RECORDED))


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
    if model.config._attn_implementation != RAW_SCORES and model.config.model_type != "mpnet":
        raise DistillError(
            f"expected attention {RAW_SCORES!r}; found {model.config._attn_implementation!r}. "
            "Call record_scores(model, layers) first."
        )
    wanted = {"output_hidden_states": True, "output_attentions": bool(layers)}
    if head:
        found, logits = _run_with_head(model, inputs, **wanted)
    else:
        found, logits = _encoded(model, _with_added_mask(model, inputs), **wanted), None
    given = [scores for scores in found.attentions or () if scores is not None]
    scores = dict(zip(layers, given, strict=True))
    return EncoderOutputs(tuple(found.hidden_states), scores, logits)


def model_logits(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """The logits (B, C), of spans (B, T, 2), alone, in fp32 under autocast; no hidden state or score is kept."""
    if isinstance(model, OnnxModel):
        return cast("Tensor", model(inputs))
    if not has_known_layers(model.config):
        return foreign_logits(model, inputs)
    return cast("Tensor", _run_with_head(model, inputs)[1])


def last_states(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """The encoder's last hidden states (B, T, d) alone; no other layer's are kept."""
    return cast("Tensor", _encoded(model, _with_added_mask(model, inputs)).last_hidden_state)


def _with_added_mask(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """Turns the mask into numbers (B, 1, T, T) that attention adds to its scores: 0 at own columns, else the least.

    Of a mask (B, T) transformers asks the device whether anything is padded, and sdpa converts it in each layer.
    ModernBERT gets a mask for each kind of layer.
    """
    mask, ids = inputs.get("attention_mask"), inputs["input_ids"]
    if mask is not None and mask.ndim != 2:
        return dict(inputs)
    dtype = torch.get_autocast_dtype(ids.device.type) if torch.is_autocast_enabled(ids.device.type) else model.dtype
    added = None
    if mask is not None:
        added = mask.to(dtype, copy=True).sub_(1).mul_(torch.finfo(dtype).max)[:, None, None, :]  # (B, 1, 1, T)
        added = added.expand(-1, -1, mask.shape[1], -1)
    if has_windows(model.config):
        near = _window_mask(int(model.config.sliding_window), ids, dtype)
        return {**inputs, "attention_mask": {"full_attention": added, SLIDING: _both(added, near)}}
    return dict(inputs) if added is None else {**inputs, "attention_mask": added}


def _window_mask(window: int, ids: Tensor, dtype: torch.dtype) -> Tensor | None:
    """(1, 1, T, T), 0 within a window and the least number outside; None where all is within."""
    if ids.shape[1] <= window + 1:
        return None
    place = torch.arange(ids.shape[1], device=ids.device)
    far = (place[:, None] - place).abs() > window
    return (far.to(dtype) * torch.finfo(dtype).min)[None, None]


def _both(added: Tensor | None, near: Tensor | None) -> Tensor | None:
    """What either bars, once: a sum of both would be infinite."""
    if added is None or near is None:
        return near if added is None else added
    return torch.minimum(added, near)


def _run_with_head(model: PreTrainedModel, inputs: Mapping[str, Tensor], **wanted: bool) -> tuple[Any, Any]:
    """The encoder's outputs and the logits (B, C), of spans (B, T, 2), whose head is left out of autocast.

    bf16 has 8 bits of mantissa: a score of 4.3 would be rounded to a multiple of 1/32.
    """
    device, masked = model.device.type, _with_added_mask(model, inputs)
    halved = torch.is_autocast_enabled(device)
    if not has_task_head(model) or not (halved or model.config.model_type in BY_MASK):
        found = model(**masked, **wanted)
        if has_span_head(model):
            return found, torch.stack((found.start_logits, found.end_logits), -1)
        return found, getattr(found, "logits", None)
    found = _encoded(model, masked, **wanted)
    states = found.last_hidden_state
    with torch.autocast(device, enabled=False):
        return found, task_logits(model, states.float() if halved else states, inputs.get("attention_mask"))


def _encoded(model: PreTrainedModel, masked: Mapping[str, Any], **wanted: bool) -> Any:
    """The encoder's outputs; in training in half precision by fewer kernels where that is known how."""
    device = model.device.type
    if model.training and torch.is_autocast_enabled(device) and is_plain(model):
        return plain_outputs(model.base_model, masked, raw_scores_attention, torch.get_autocast_dtype(device))
    return model.base_model(**masked, **wanted)


def embedding_output(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """The embedding layer's output alone, `hidden_states[0]`: (B, T, d), E of Eq. 9.

    Cheap, so a teacher cache leaves it out and recomputes it.
    """
    encoder = cast("Any", model.base_model)
    if model.config.model_type == "eurobert":
        return cast("Tensor", encoder.embed_tokens(inputs["input_ids"]))
    accepted = {name: value for name, value in inputs.items() if name in ("input_ids", "token_type_ids")}
    output: Tensor = encoder.embeddings(**accepted)
    if hasattr(encoder, "embeddings_project"):  # ELECTRA with embeddings narrower than its layers
        output = encoder.embeddings_project(output)
    return output
