"""Numbers of steps on their way to the host, which must not hold the device up."""

from __future__ import annotations

import pytest
import torch

from distill.pending import PendingSteps
from tests.devices import DEVICES


class Alone:
    """What is asked of an accelerator of one process."""

    num_processes, scaler = 1, None


class Lesson:
    """A step's, of which nothing but names is read."""

    batch, parts, given = None, (), ()


def row(step: int) -> dict:
    return {"step": step, "epoch": 0, "examples": 2, "learning_rate": 0.1}


@pytest.mark.parametrize("device", DEVICES)
def test_a_late_look_reads_what_the_last_one_sent_for(device):
    pending, numbers = PendingSteps(None), torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0], [5.0, 6.0, 9.0]]).to(device)
    found = []
    if device != "cpu":
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")  # but for events, which are long past
    try:
        for step in range(3):
            pending.add(row(step), ("a", "b"), numbers[step], Lesson())
            found.append(list(pending.take(Alone(), (0.0, step), late=True)))
    finally:
        torch.cuda.set_sync_debug_mode("default") if device != "cpu" else None
    found.append(list(pending.take(Alone(), (1.0, 7.0))))
    read = [
        [([(one["step"], one["loss"], one["a"], one["b"]) for one in rows], sums) for rows, sums in each]
        for each in found
    ]
    assert read == [
        [],
        [([(0, 3.0, 1.0, 2.0)], [0.0, 0])],
        [([(1, 7.0, 3.0, 4.0)], [0.0, 1])],
        [([(2, 11.0, 5.0, 6.0)], [0.0, 2])],
    ]
    assert not list(pending.take(Alone()))


def test_all_that_is_left_is_read_at_once():
    pending = PendingSteps(None)
    for step in range(4):
        pending.add(row(step), ("a",), torch.tensor([step + 0.5, 1.0]), Lesson())
        if step == 1:
            assert not list(pending.take(Alone(), late=True))
    assert [[one["loss"] for one in rows] for rows, _ in pending.take(Alone())] == [[0.5, 1.5], [2.5, 3.5]]


def test_sending_makes_no_tensor_of_the_host_s_numbers(monkeypatch):
    """On a GPU that waits for all that was launched before."""
    pending = PendingSteps(None)
    pending.add(row(0), ("a",), torch.tensor([0.5, 1.0]), Lesson())
    for owner, name in ((torch, "tensor"), (torch.Tensor, "new_tensor"), (torch, "as_tensor")):
        monkeypatch.setattr(owner, name, None)
    assert not list(pending.take(Alone(), (1.0,), late=True))
    monkeypatch.undo()
    assert [sums for _, sums in pending.take(Alone())] == [[1.0]]
