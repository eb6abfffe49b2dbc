"""The encoder's last hidden state at a few positions only: the last layer and the head work nowhere else.

With one masked word in a copy of L tokens, the last layer needs keys and values of all tokens but queries,
output projection and feed-forward of one: 10 of its 12 H² multiplications per token fall away for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from augment.batch import Batch


class EncoderAtPositions:
    """A masked LM split into encoder and head, with the last layer computed where it is read.

    Args:
        model: a transformers masked LM. BERT's last layer is computed at the positions only; for its kin
            (DistilBERT, ELECTRA, MobileBERT, MPNet) the whole encoder runs, over rows, and the head sees the
            positions only.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._base = model.base_model
        self.by_layers = model.config.model_type == "bert"
        self._states: Callable[[Batch], Tensor] = self._but_last_layer if self.by_layers else self._whole

    def compile(self, **options: Any) -> None:
        """Has `torch.compile` make kernels of all layers but the last, at the next batch of each kind of shape.

        Args:
            options: of `torch.compile`.
        """
        self._states = torch.compile(self._states, **options)

    def hidden(self, batch: Batch) -> Tensor:
        """Last hidden states at the masks of a batch.

        Args:
            batch: masked copies; in rows unless the model is a BERT.

        Returns:
            (M, H): one row for each mask.
        """
        states = self._states(batch)
        at_masks = batch.at_masks(states)
        if self.by_layers:
            at_masks = _layer(self._base.encoder.layer[-1], states, at_masks, batch.attend_from_masks)
        return batch.one_by_one(at_masks)

    def logits(self, hidden: Tensor) -> Tensor:
        """Applies the masked-LM head.

        Args:
            hidden: (M, H) last hidden states.

        Returns:
            (M, V) logits.
        """
        model = self._model
        if model.config.model_type in {"bert", "mobilebert"}:
            return model.cls(hidden)

        def instead(_module: nn.Module, _args: object, output: Any) -> Any:
            output.last_hidden_state = hidden[None]  # (1, M, H): the head reads it in place of the encoder's
            return output

        handle = self._base.register_forward_hook(instead)
        try:
            one_token = torch.zeros((1, 1), dtype=torch.long, device=hidden.device)
            return model(input_ids=one_token).logits[0]
        finally:
            handle.remove()

    def _but_last_layer(self, batch: Batch) -> Tensor:
        """States (…, H) before the last layer. Not by transformers' own loop, whose mask code asks the device."""
        base = self._base
        states = base.embeddings(input_ids=batch.ids, token_type_ids=batch.segments, position_ids=batch.places)
        for layer in base.encoder.layer[:-1]:
            states = _layer(layer, states, states, batch.attend)
        return states

    def _whole(self, batch: Any) -> Tensor:
        arguments = {"input_ids": batch.ids}
        if batch.allowed is not None:
            arguments["attention_mask"] = batch.allowed[:, 0, 0].long()
        if batch.segments is not None:
            arguments["token_type_ids"] = batch.segments
        return self._base(**arguments).last_hidden_state


def _layer(layer: Any, states: Tensor, asking: Tensor, attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """BERT's layer at some tokens.

    Args:
        layer: of the encoder.
        states: (…, H) of all tokens, which keys and values are made from.
        asking: (…', H) of the tokens that are computed.
        attend: from queries, keys and values, each (…, heads, size), to the outcome, shaped like the queries.

    Returns:
        (…', H).
    """
    attention = layer.attention.self
    shape = (attention.num_attention_heads, attention.attention_head_size)
    query = attention.query(asking).unflatten(-1, shape)
    key, value = attention.key(states).unflatten(-1, shape), attention.value(states).unflatten(-1, shape)
    context = attend(query, key, value).flatten(-2)
    attended = layer.attention.output(context, asking)
    return layer.output(layer.intermediate(attended), attended)
