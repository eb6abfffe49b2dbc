"""AdamW and its learning rate: what the paper leaves open, see docs/distillation.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn

    from distill.training_settings import TrainSettings


def make_optimiser(module: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """Fused AdamW over the trainable parameters; biases and norms are not decayed."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def learning_rate_factor(settings: TrainSettings, progress: float, step: float) -> float:
    """Linear rise, then linear fall to zero.

    Args:
        settings: warmup, warmup_steps.
        progress: share of the run that is done, from 0 to 1.
        step: steps done.
    """
    rise = progress / settings.warmup if settings.warmup else 1.0
    if settings.warmup_steps:
        rise = max(rise, step / settings.warmup_steps)
    return max(0.0, min(1.0, rise, (1 - progress) / (1 - settings.warmup)))
