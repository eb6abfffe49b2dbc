"""The devices that a test of training runs on: the CPU always, GPUs where its marker is asked for."""

from __future__ import annotations

import pytest
import torch

HAS_GPU = torch.cuda.is_available()
LAST = f"cuda:{max(0, torch.cuda.device_count() - 1)}" if HAS_GPU else "cuda:0"
NEEDS_GPU = (pytest.mark.gpu, pytest.mark.skipif(not HAS_GPU, reason="needs a CUDA device"))
DEVICES = (
    pytest.param("cpu", id="cpu"),
    pytest.param("cuda", marks=NEEDS_GPU, id="cuda"),
    pytest.param(LAST, marks=NEEDS_GPU, id="the last of cuda:N"),
)


def expected_precision(device: str) -> str:
    """What `auto` is in training."""
    return "bf16" if device != "cpu" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
