"""Which precision a model runs in: names, what a device has, what `auto` means in training."""

from __future__ import annotations

from pipelines.errors import UserError

AUTO = "auto"
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


def check_precision(precision: str, device: str, option: str = "--precision", training: bool = False) -> None:
    """Refuses a precision that a device lacks.

    Args:
        precision: `auto` or one of PRECISIONS.
        device: `cpu`, `cuda` or `cuda:N`.
        option: that named it.
        training: a CPU lacks fp16 then, whose loss scaler is CUDA's.

    Raises:
        UserError: naming a device that has it not.
    """
    if device == "cpu" and precision in (("tf32", "fp16") if training else ("tf32",)):
        raise UserError(f"{option} {precision}: expected a GPU, found --device cpu; use bf16 or fp32")


def training_precision(precision: str, device: str) -> str:
    """Decides `auto` for training and evaluation, on a device of this process.

    Args:
        precision: `auto` or one of PRECISIONS.
        device: `cpu`, `cuda` or `cuda:N`; it is there.

    Returns:
        One of PRECISIONS: for `auto` bf16 on a GPU that has it in hardware, else fp32.

    Raises:
        UserError: another name, or one that the device lacks.
    """
    check_precision(precision, device, training=True)
    if precision != AUTO:
        return precision
    if device == "cpu":
        return "fp32"
    import torch

    from distill.precision import Precision, resolve_precision

    return str(resolve_precision(Precision.AUTO, torch.device(device)))
