"""Accelerate's side of the training loop: where a process trains, and in which precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, PartialState

from distill.errors import DistillError
from distill.precision import Precision

if TYPE_CHECKING:
    from distill.objectives import Stage
    from distill.training_settings import TrainSettings

MIXED = {Precision.FP32: "no", Precision.TF32: "no", Precision.BF16: "bf16", Precision.FP16: "fp16"}


def own_device(settings: TrainSettings) -> torch.device:
    """The device that this process trains on; a single process may change it between runs, ranks keep their group."""
    if not torch.distributed.is_initialized():
        PartialState._reset_state()
    return PartialState(cpu=settings.cpu).device


def own_accelerator(stage: Stage, settings: TrainSettings) -> Accelerator:
    """An accelerator for one stage.

    Args:
        stage: its losses say whether DDP has to look for unused parameters.
        settings: of the loop, with a precision other than AUTO.

    Raises:
        DistillError: fp16 without a GPU.
    """
    if settings.precision is Precision.FP16 and PartialState().device.type != "cuda":
        raise DistillError("expected a GPU for precision fp16; found none. Use bf16 or fp32.")
    # Accelerate keeps one precision a process; stages may differ in theirs. The process group stays.
    AcceleratorState._reset_state(reset_partial_state=False)
    unused = DistributedDataParallelKwargs(find_unused_parameters=not stage.reaches_all)
    return Accelerator(mixed_precision=MIXED[settings.precision], cpu=settings.cpu, kwargs_handlers=[unused])
