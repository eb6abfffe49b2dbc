"""AdamW and its learning rate: what the paper leaves open, see docs/distillation.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer
    from torch import Tensor, nn

    from distill.training_settings import TrainSettings


def make_optimiser(module: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """Fused AdamW over the trainable parameters; biases and norms are not decayed."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def clipped_step(accelerator: Accelerator, optimiser: AcceleratedOptimizer, limit: float) -> Tensor:
    """Scales all gradients together to a norm of at most `limit`, then steps.

    On a CPU the fused kernel scales while it steps: a pass of its own over the gradients of all embeddings costs a
    hundredth of a small student's step.

    Args:
        accelerator: that prepared the optimiser.
        optimiser: of `make_optimiser`, prepared; some of its parameters may have no gradient.
        limit: largest norm.

    Returns:
        The norm before scaling, a scalar.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    if accelerator.device.type != "cpu" or accelerator.scaler is not None:
        norm = accelerator.clip_grad_norm_(parameters, limit)
        optimiser.step()
        return norm.detach()
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    inner = optimiser.optimizer
    inner.grad_scale, inner.found_inf = ((norm + 1e-6) / limit).clamp(min=1.0), torch.zeros(())
    optimiser.step()
    inner.grad_scale = inner.found_inf = None
    return norm


def learning_rate_factor(settings: TrainSettings, progress: float, step: float) -> float:
    """Linear rise, then linear fall to zero over all that is left.

    Args:
        settings: warmup, warmup_steps.
        progress: share of the run that is done, from 0 to 1.
        step: steps done.
    """
    peak = settings.warmup
    if settings.warmup_steps and step:
        peak = min(peak, settings.warmup_steps * progress / step)  # step / progress: the steps of the whole run
    rise = progress / peak if peak else 1.0
    return max(0.0, min(1.0, rise, (1 - progress) / (1 - peak)))
