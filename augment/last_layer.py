"""The encoder's last hidden state at a few positions only: the last layer and the head work nowhere else.

With one masked word in a copy of L tokens, the last layer needs keys and values of all tokens but queries,
output projection and feed-forward of one: 10 of its 12 H² multiplications per token fall away for the rest.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator


class EncoderAtPositions:
    """A masked LM split into encoder and head, with the last layer computed where it is read.

    Args:
        model: a transformers masked LM. BERT's last layer is computed at the positions only; for its kin
            (DistilBERT, ELECTRA, MobileBERT, MPNet) the whole encoder runs and the head sees the positions only.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._base = model.base_model
        self._last: Any = self._base.encoder.layer[-1] if model.config.model_type == "bert" else None

    def hidden(self, arguments: dict[str, Tensor], positions: Tensor) -> Tensor:
        """Last hidden states at positions.

        Args:
            arguments: the encoder's inputs, (B, L) each.
            positions: int64 (B, Q), -1 where a row has fewer than Q.

        Returns:
            (M, H): one row for each position that is not -1, in row-major order.
        """
        with self._without_last_layer():
            states = self._base(**arguments).last_hidden_state  # (B, L, H)
        rows, width = states.shape[0], states.shape[2]
        wanted = positions >= 0
        index = positions.clamp(min=0)[:, :, None].expand(-1, -1, width)  # (B, Q, H)
        at_positions = torch.gather(states, 1, index)
        if self._last is not None:
            at_positions = self._last_layer(states, at_positions, arguments.get("attention_mask"))
        if wanted.shape[1] == 1:
            return at_positions.reshape(rows, width)
        return at_positions[wanted]

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

    @contextmanager
    def _without_last_layer(self) -> Iterator[None]:
        """Takes the last layer out for one pass; the caller's model is as it was afterwards."""
        if self._last is None:
            yield
            return
        layers = self._base.encoder.layer
        self._base.encoder.layer = layers[:-1]
        try:
            yield
        finally:
            self._base.encoder.layer = layers

    def _last_layer(self, states: Tensor, at_positions: Tensor, attention_mask: Tensor | None) -> Tensor:
        """BERT's layer with queries at the positions only: (B, L, H) and (B, Q, H) to (B, Q, H)."""
        attention = self._last.attention.self
        heads, size = attention.num_attention_heads, attention.attention_head_size
        query = _by_head(attention.query(at_positions), heads, size)  # (B, heads, Q, size)
        key = _by_head(attention.key(states), heads, size)  # (B, heads, L, size)
        value = _by_head(attention.value(states), heads, size)
        allowed = None if attention_mask is None else attention_mask[:, None, None, :].bool()  # (B, 1, 1, L)
        context = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        context = context.transpose(1, 2).flatten(2)  # (B, Q, H)
        attended = self._last.attention.output(context, at_positions)
        return self._last.output(self._last.intermediate(attended), attended)


def _by_head(states: Tensor, heads: int, size: int) -> Tensor:
    return states.unflatten(2, (heads, size)).transpose(1, 2)  # (B, L, H) to (B, heads, L, size)
