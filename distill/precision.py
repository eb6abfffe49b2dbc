"""What a model computes in: the choices, what `auto` means on a device, and the kernels of a GPU that go with it."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

import torch

from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Precision(StrEnum):
    """What the matrix products are computed in; weights, losses and the task's head stay in fp32.

    AUTO is decided by the device (`resolve_precision`). TF32 multiplies fp32 matrices with 10 bits of mantissa, on a
    GPU alone.
    """

    AUTO = "auto"
    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"
    FP16 = "fp16"


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """Decides AUTO: bf16 on a GPU that has it in hardware (compute capability 8.0), fp32 on everything else.

    fp16, which older GPUs have, is no default for training: a loss scaler leaves out the steps that overflow.

    Args:
        precision: what was asked for.
        device: where the model runs.

    Returns:
        Any precision but AUTO.

    Raises:
        DistillError: TF32 on a device that is no GPU.
    """
    if precision is Precision.TF32 and device.type != "cuda":
        raise DistillError(f"expected a GPU for precision tf32; found the device {device}. Use fp32 or bf16.")
    if precision is not Precision.AUTO:
        return precision
    return Precision.BF16 if device.type == "cuda" and has_bf16(device) else Precision.FP32


def has_bf16(device: torch.device) -> bool:
    """Whether a GPU multiplies in bf16 itself: `torch.cuda.is_bf16_supported(including_emulation=False)`, for any GPU.

    Args:
        device: `cuda` or `cuda:N`; torch's own function knows the current one alone.
    """
    return torch.version.hip is not None or torch.cuda.get_device_properties(device).major >= 8


@contextmanager
def gpu_kernels(precision: Precision, device: torch.device) -> Iterator[None]:
    """On a GPU, attention without cuDNN, and TF32 products where they were chosen; nothing elsewhere.

    torch prefers cuDNN's attention on the newest GPUs, and cuDNN makes a plan, of some 46 ms, for each new shape; here
    nearly every batch has a shape of its own. Both settings are the process's, and are put back at the end.

    Args:
        precision: of the matrix products.
        device: where the model runs.
    """
    if device.type != "cuda":
        yield
        return
    with ExitStack() as back:
        back.callback(torch.backends.cuda.enable_cudnn_sdp, torch.backends.cuda.cudnn_sdp_enabled())
        torch.backends.cuda.enable_cudnn_sdp(False)
        if precision is Precision.TF32:
            back.callback(_multiply_in, torch.get_float32_matmul_precision())
            _multiply_in("high")
        yield


@contextmanager
def autocast(precision: Precision, device: torch.device) -> Iterator[None]:
    """Runs a forward pass in a precision: half precisions by torch's autocast, all with `gpu_kernels`.

    Args:
        precision: of the matrix products; AUTO is decided.
        device: where the model runs.

    Raises:
        DistillError: TF32 on a device that is no GPU.
    """
    chosen = resolve_precision(precision, device)
    with ExitStack() as stack:
        stack.enter_context(gpu_kernels(chosen, device))
        if chosen in (Precision.BF16, Precision.FP16):
            half = torch.bfloat16 if chosen is Precision.BF16 else torch.float16
            stack.enter_context(torch.autocast(device.type, half))
        yield


def _multiply_in(name: str) -> None:
    """Sets torch's precision of fp32 products.

    Since torch 2.9 a warning calls this old-fashioned; the newer flag alone would leave the older ones behind, and
    torch's profiler fails where the two differ.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.set_float32_matmul_precision(name)
