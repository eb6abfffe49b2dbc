"""MPNet's attention by the function that all other families call: transformers has a loop of its own for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class ScoredMPNetAttention(MPNetSelfAttention):
    """MPNet's attention, with the bias of relative positions as a part of its raw scores.

    A module becomes one by its `__class__`: weights, names and copies stay as they are.
    """

    attend: Callable[..., tuple[Tensor, Tensor | None]]

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        output_attentions: bool = False,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """The attention output (B, T, d) and, where asked for, the raw scores (B, h, T, T) or None."""
        shape = (*hidden_states.shape[:-1], -1, self.attention_head_size)
        query, key, value = (part(hidden_states).view(shape).transpose(1, 2) for part in (self.q, self.k, self.v))
        dropout = self.dropout.p if self.training else 0.0
        found, scores = self.attend(self, query, key, value, attention_mask, dropout, position_bias=position_bias)
        output = self.o(found.flatten(2))  # (B, T, h, d_k) to (B, T, d)
        return (output, scores) if output_attentions else (output,)  # type: ignore[return-value]
