"""The devices that a test of training runs on: the CPU always, GPUs where its marker is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

HAS_GPU = torch.cuda.is_available()
LAST = f"cuda:{max(0, torch.cuda.device_count() - 1)}" if HAS_GPU else "cuda:0"
NEEDS_GPU = (pytest.mark.gpu, pytest.mark.skipif(not HAS_GPU, reason="needs a CUDA device"))


def needs_gpu(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that needs a CUDA device."""
    for mark in NEEDS_GPU:
        test = mark(test)
    return test


DEVICES = (
    pytest.param("cpu", id="cpu"),
    pytest.param("cuda", marks=NEEDS_GPU, id="cuda"),
    pytest.param(LAST, marks=NEEDS_GPU, id="the last of cuda:N"),
)


def expected_precision(device: str) -> str:
    """What `auto` is in training."""
    return "bf16" if device != "cpu" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
