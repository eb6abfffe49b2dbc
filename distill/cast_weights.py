"""A student's weights in half precision, all cast by one operation, and their gradients back by another.

Autocast casts each weight and bias, and each gradient, by a kernel of its own: a hundred of them in the step of a small
student. The numbers are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call

from distill.precision import Precision
from distill.projections import Projections
from distill.weights import in_head

if TYPE_CHECKING:
    from torch import Tensor

HALF = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}


class CastWeights:
    """Calls a stage with its weights cast.

    Args:
        stage: on its device; weights and optimiser stay as they are.
        dtype: what autocast computes in.
    """

    def __init__(self, stage: nn.Module, dtype: torch.dtype) -> None:
        self._stage, self._dtype = stage, dtype
        self._cast: dict[str, nn.Parameter] = {}
        for name, module in stage.named_modules():
            # Task heads run in fp32; those of masked LMs share weights with the embeddings, which do.
            first, _, own_name = name.partition(".")
            of_head = first == "model" and in_head(stage.model, own_name)  # type: ignore[arg-type]
            if isinstance(module, (nn.Linear, Projections)) and not of_head:
                for own, weight in module.named_parameters(recurse=False):
                    if weight.requires_grad:
                        self._cast[f"{name}.{own}"] = weight

    def __call__(self, *arguments: Any) -> Any:
        """The stage's losses."""
        if not self._cast:  # bilstm-soft computes in float32
            return self._stage(*arguments)
        cast: tuple[Tensor, ...] = _Cast.apply(self._dtype, *self._cast.values())
        return functional_call(self._stage, dict(zip(self._cast, cast, strict=True)), arguments, tie_weights=False)


class _Cast(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        cast = [torch.empty_like(weight, dtype=dtype) for weight in weights]
        torch._foreach_copy_(cast, weights)
        return tuple(cast)

    @staticmethod
    def backward(_: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        some = [gradient for gradient in gradients if gradient is not None]
        cast = [torch.empty_like(gradient, dtype=torch.float32) for gradient in some]
        if some:
            torch._foreach_copy_(cast, some)
        coming = iter(cast)
        return None, *(None if gradient is None else next(coming) for gradient in gradients)
