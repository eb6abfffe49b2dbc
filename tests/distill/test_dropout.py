"""Dropout by 16-bit draws: rate, scale, gradient, seed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from distill.dropout import QuickDropout, dropout, quicken_dropout, seed_dropout
from tests.devices import DEVICES


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_rate_and_mean(p):
    torch.manual_seed(3)
    found = dropout(torch.ones(4_000_001), p, training=True)
    assert (found == 0).float().mean().item() == pytest.approx(p, abs=4 * (p * (1 - p) / 4_000_001) ** 0.5 + 2e-5)
    assert found.double().mean().item() == pytest.approx(1, abs=0.006)
    assert len(found.unique()) == 2


def test_elements_are_independent_of_their_neighbours():
    torch.manual_seed(5)
    zero = (dropout(torch.ones(2_000_000), 0.5, training=True) == 0).double() - 0.5
    for distance in (1, 2, 3, 4, 8):
        assert abs((zero[distance:] * zero[:-distance]).mean().item()) < 0.25 * 5 / 2_000_000**0.5


def test_gradient_is_the_mask():
    values = torch.randn(7, 5, requires_grad=True)
    found = dropout(values, 0.5, training=True)
    found.sum().backward()
    assert torch.equal(values.grad, torch.where(found == 0, 0.0, 2.0))


def test_seed_decides():
    values = torch.randn(100)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(dropout(values, 0.5, training=True))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_nothing_is_dropped_without_training_or_chance():
    values = torch.randn(9)
    assert dropout(values, 0.5, training=False) is values
    assert dropout(values, 0.0, training=True) is values
    assert not dropout(values, 1.0, training=True).any()


def test_replaces_modules_and_keeps_their_mode():
    model = nn.Sequential(nn.Dropout(0.2), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3))).eval()
    names = list(model.state_dict())
    quicken_dropout(model)
    kinds = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert [(type(one), one.p, one.training) for one in kinds] == [
        (QuickDropout, 0.2, False),
        (QuickDropout, 0.3, False),
    ]
    assert list(model.state_dict()) == names


@pytest.mark.parametrize("device", DEVICES)
def test_seeding_a_device_is_torch_s_own(device):
    torch.manual_seed(11)
    expected = torch.randn(5, device=device)
    seed_dropout(11, torch.device(device))
    assert torch.equal(torch.randn(5, device=device), expected)
