"""The optimiser's step against PyTorch's own clipping and AdamW, one after the other."""

from __future__ import annotations

import copy

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from distill.optimiser import clipped_step, make_optimiser
from distill.training_settings import TrainSettings

pytestmark = pytest.mark.unit
SETTINGS = TrainSettings(epochs=1, learning_rate=1e-2)


def net():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {"seen": nn.Sequential(nn.Linear(7, 5), nn.GELU(), nn.Linear(5, 3)), "unseen": nn.Linear(2, 2)}
    )


@pytest.mark.parametrize("limit", [0.05, 1e6])
def test_as_clipping_and_stepping_one_after_the_other(limit):
    ours, theirs = net(), net()
    accelerator = Accelerator(cpu=True)
    fused = accelerator.prepare(make_optimiser(ours, SETTINGS))
    plain = make_optimiser(theirs, SETTINGS)
    start = copy.deepcopy(ours.state_dict())
    for step in range(4):
        rows = torch.randn(6, 7, generator=torch.Generator().manual_seed(step))
        for model in (ours, theirs):
            model.zero_grad()
            model["seen"](rows).square().sum().backward()
        norm = clipped_step(accelerator, fused, limit)
        expected = nn.utils.clip_grad_norm_(theirs.parameters(), limit)
        plain.step()
        assert norm.item() == pytest.approx(expected.item(), rel=1e-6)
        assert (norm > limit) == (limit < 1)
    for name, weights in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], weights, rtol=1e-6, atol=1e-8)
        assert torch.equal(weights, start[name]) == name.startswith("unseen")


def test_a_plain_step_afterwards_scales_nothing():
    model = net()
    accelerator = Accelerator(cpu=True)
    optimiser = accelerator.prepare(make_optimiser(model, SETTINGS))
    model["seen"](torch.ones(1, 7)).sum().backward()
    clipped_step(accelerator, optimiser, 1e-3)
    assert optimiser.optimizer.grad_scale is None
    assert optimiser.optimizer.found_inf is None
