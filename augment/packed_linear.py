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

ONEDNN, TORCH = "onednn-packed", "torch"  # as a run records them
ROWS = 2048  # the number of rows the layout is tuned for; any other number works too
STEP = 32  # rows are padded to a multiple: oneDNN keeps about 0.3 MB of code for each number of rows it ever saw


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
        shape = states.shape[:-1]
        rows = shape.numel()
        missing = -rows % max(STEP, 2 ** (rows.bit_length() - 6))  # at most 64 numbers of rows up to twice any number
        if missing:
            states = nn.functional.pad(states.reshape(rows, -1), (0, 0, 0, missing))  # (…, in) to (M, in)
        product = torch.ops.mkldnn._linear_pointwise(states, self._weight, self._bias, self._activation, [], "none")
        return product[:rows].unflatten(0, shape) if missing else product  # (M, out) to (…, out)


def pack_linear_layers(model: nn.Module) -> bool:
    """Replaces every linear layer of a model, and BERT's exact GELU behind one, where this build of torch can.

    Args:
        model: on a CPU, fp32 or bf16; it can only infer afterwards.

    Returns:
        Whether it was done; where not, the model is as it was.
    """
    if not _can_pack(next(model.parameters()).dtype):
        return False
    for module in list(model.modules()):
        for name, linear in _linear_layers(module):
            fused = name == "dense" and _is_exact_gelu(getattr(module, "intermediate_act_fn", None))
            setattr(module, name, PackedLinear(linear, "gelu" if fused else "none"))
            if fused:
                module.intermediate_act_fn = nn.Identity()
    return True


def linear_kernel(device: str, precision: str) -> str:
    """What multiplies a masked LM's matrices here; the two differ in the last bits, so a run keeps to one of them.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
        precision: `fp32`, `tf32`, `bf16` or `fp16`.

    Returns:
        ONEDNN on a CPU where it works in this precision, otherwise TORCH.
    """
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}.get(precision)
    return ONEDNN if device == "cpu" and dtype is not None and _can_pack(dtype) else TORCH


def _linear_layers(module: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    for name, child in list(module.named_children()):
        if type(child) is nn.Linear:
            yield name, child


def _is_exact_gelu(activation: Any) -> bool:
    sample = torch.tensor([-3.0, -0.5, 0.25, 2.0])
    return isinstance(activation, nn.Module) and bool(
        torch.equal(activation(sample), nn.functional.gelu(sample, approximate="none"))
    )


def _can_pack(dtype: torch.dtype) -> bool:
    """Whether the operator exists, runs and is right on this machine for this kind of number."""
    if not torch.backends.mkldnn.is_available():
        return False
    linear = nn.Linear(8, 16, dtype=dtype)
    states = torch.linspace(-1, 1, 24).view(3, 8).to(dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    try:
        with torch.inference_mode():
            return torch.allclose(PackedLinear(linear)(states), linear(states), atol=tolerance, rtol=tolerance)
    except (AttributeError, RuntimeError, TypeError):  # the operator is torch's own affair and may change
        return False
