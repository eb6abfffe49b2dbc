"""AdamW and its learning rate: what the paper leaves open, see docs/distillation.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer
    from torch import Tensor, nn

    from distill.training_settings import TrainSettings


def make_optimiser(module: nn.Module, settings: TrainSettings, graphs: bool = False) -> torch.optim.AdamW:
    """Fused AdamW over the trainable parameters; biases and norms are not decayed.

    Args:
        module: on its device.
        settings: rate at its peak, weight decay.
        graphs: with the rate as a tensor, which a recorded step reads anew (`set_rate`).
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
    if graphs:
        _read_rate_anew(optimiser, settings.learning_rate)
    return optimiser


def _read_rate_anew(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Gives the groups a tensor as their rate."""
    device = optimiser.param_groups[0]["params"][0].device
    gpu = device.type == "cuda"
    # CUDA's kernel reads float32; a CPU's converts any type, and float64 is what it gets without graphs.
    shared = torch.tensor(rate, dtype=torch.float32 if gpu else torch.float64, device=device)
    for group in optimiser.param_groups:
        group |= {"lr": shared, "capturable": gpu}
    # Else torch advises against it in the first step that is not recorded, as a few always are.
    optimiser._warned_capturable_if_run_uncaptured = True


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of the coming step."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def training_states(accelerator: Accelerator, optimiser: AcceleratedOptimizer) -> dict[str, Any]:
    """What a checkpoint holds of optimiser and loss scaler; its tensors are those of the next step, too."""
    states = {"optimiser": optimiser.state_dict()}
    return states if accelerator.scaler is None else {**states, "scaler": accelerator.scaler.state_dict()}


def restore_states(
    accelerator: Accelerator, optimiser: AcceleratedOptimizer, states: dict[str, Any], graphs: bool
) -> None:
    """Takes up the states of a checkpoint, which may be of a run with graphs or without.

    Args:
        accelerator: that prepared the optimiser.
        optimiser: of `make_optimiser`, prepared.
        states: earlier `training_states`.
        graphs: as for `make_optimiser`.
    """
    _restore_optimiser(optimiser.optimizer, states["optimiser"], graphs)
    if accelerator.scaler is not None and "scaler" in states:
        accelerator.scaler.load_state_dict(states["scaler"])


def _restore_optimiser(optimiser: torch.optim.Optimizer, states: dict[str, Any], graphs: bool) -> None:
    rate = states["param_groups"][0]["lr"]
    groups = [{**group, "lr": float(rate), "capturable": False} for group in states["param_groups"]]
    optimiser.load_state_dict({**states, "param_groups": groups})
    if graphs:
        _read_rate_anew(optimiser, float(rate))


def clipped_step(accelerator: Accelerator, optimiser: AcceleratedOptimizer, limit: float) -> Tensor:
    """Scales all gradients together to a norm of at most `limit`, then steps.

    The fused kernel scales while it steps: a pass of its own over the gradients of all embeddings costs a hundredth of
    a small student's step on a CPU, and kernels on a GPU. Nothing is read on the host.

    Args:
        accelerator: that prepared the optimiser.
        optimiser: of `make_optimiser`, prepared; some of its parameters may have no gradient.
        limit: largest norm.

    Returns:
        The norm before scaling, a scalar.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    if accelerator.scaler is not None:
        norm = accelerator.clip_grad_norm_(parameters, limit)
        optimiser.step()
        return norm.detach()
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    inner = optimiser.optimizer
    inner.grad_scale, inner.found_inf = ((norm + 1e-6) / limit).clamp(min=1.0), torch.zeros_like(norm)
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
