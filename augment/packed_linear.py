"""Linear layers by oneDNN with weights laid out once, for CPUs.

torch multiplies fp32 matrices with MKL, which on AMD's cores reaches half to nine tenths of what oneDNN does, and
lays the weights out anew at each call. The operator used here is the one torch's own compiler emits when it freezes
a model (`torch.compile` itself would want a C++ compiler on the user's machine).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 2048  # the number of rows the layout is tuned for; any other number works too


class PackedLinear(nn.Module):
    """A linear layer that only infers, on a CPU.

    Args:
        linear: fp32 or bf16 layer it takes the place of.
        activation: `none` or `gelu`, applied to the outcome in the same pass.
    """

    def __init__(self, linear: nn.Linear, activation: str = "none") -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), ROWS)
        self._bias = None if linear.bias is None else linear.bias.detach()
        self._activation = activation

    def forward(self, states: Tensor) -> Tensor:
        """Multiplies.

        Args:
            states: (…, in).

        Returns:
            (…, out).
        """
        return torch.ops.mkldnn._linear_pointwise(states, self._weight, self._bias, self._activation, [], "none")


def pack_linear_layers(model: nn.Module) -> bool:
    """Replaces every linear layer of a model, and BERT's exact GELU behind one, where this build of torch can.

    Args:
        model: on a CPU, fp32 or bf16; it can only infer afterwards.

    Returns:
        Whether it was done; where not, the model is as it was.
    """
    if not _can_pack():
        return False
    for module in list(model.modules()):
        for name, linear in _linear_layers(module):
            fused = name == "dense" and _is_exact_gelu(getattr(module, "intermediate_act_fn", None))
            setattr(module, name, PackedLinear(linear, "gelu" if fused else "none"))
            if fused:
                module.intermediate_act_fn = nn.Identity()
    return True


def _linear_layers(module: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    for name, child in list(module.named_children()):
        if type(child) is nn.Linear:
            yield name, child


def _is_exact_gelu(activation: Any) -> bool:
    sample = torch.tensor([-3.0, -0.5, 0.25, 2.0])
    return isinstance(activation, nn.Module) and bool(
        torch.equal(activation(sample), nn.functional.gelu(sample, approximate="none"))
    )


def _can_pack() -> bool:
    """Whether the operator exists, runs and is right on this machine."""
    if not torch.backends.mkldnn.is_available():
        return False
    linear = nn.Linear(8, 16)
    states = torch.linspace(-1, 1, 24).view(3, 8)
    try:
        return torch.allclose(PackedLinear(linear)(states), linear(states), atol=1e-5)
    except (AttributeError, RuntimeError, TypeError):  # the operator is torch's own affair and may change
        return False
