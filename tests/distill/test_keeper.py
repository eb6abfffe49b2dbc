"""Checkpoints by the clock, written by a thread: steps go on, and what is written is the state of its own step."""

from __future__ import annotations

import errno
import threading

import pytest
import torch
from safetensors.torch import load_file

from distill import keeper, teacher_cache
from distill.checkpoints import host_copy, save_checkpoint
from distill.errors import StoppedError
from tests.distill.runs import BrokenOff, losses, tiny_run, weights

PATIENCE = 30  # seconds for a step


def steps_kept(monkeypatch, before=lambda: None) -> list[int]:
    """Notes the steps of which checkpoints are written; `before` is called by the thread."""
    kept: list[int] = []

    def noted(folder, run, state, *states):
        before()
        kept.append(state.step)
        save_checkpoint(folder, run, state, *states)

    monkeypatch.setattr(keeper, "save_checkpoint", noted)
    return kept


def test_the_clock_decides(data, tmp_path, monkeypatch):
    kept = steps_kept(monkeypatch)
    tiny_run(data, tmp_path / "rarely", checkpoint_every=None)
    assert kept == [13, 26]
    kept.clear()
    monkeypatch.setattr(keeper, "SECONDS", 0.0)
    with pytest.raises(BrokenOff):
        tiny_run(data, tmp_path / "often", tmp_path / "cache", checkpoint_every=None, log_every=10, stop_at=9)
    assert kept == [*range(1, 9)]
    tiny_run(data, tmp_path / "often", tmp_path / "cache", checkpoint_every=None, log_every=10)
    tiny_run(data, tmp_path / "whole", tmp_path / "another")
    assert (tmp_path / "often/losses.csv").read_bytes() == (tmp_path / "whole/losses.csv").read_bytes()
    for path in (tmp_path / "another").iterdir():
        assert (tmp_path / "cache" / path.name).read_bytes() == path.read_bytes()


def test_steps_go_on_while_a_checkpoint_of_an_earlier_one_is_written(data, tmp_path, monkeypatch):
    """The thread is held up until three more steps were taken, and then writes the state before them."""
    later, folder = threading.Event(), tmp_path / "on"

    def hold_up() -> None:
        assert later.wait(PATIENCE)

    def stop() -> bool:
        if (folder / "losses.csv").exists() and len(losses(folder)) >= 6:
            later.set()
        return later.is_set()

    kept = steps_kept(monkeypatch, hold_up)
    copies = []
    copied = keeper.host_copy
    monkeypatch.setattr(keeper, "host_copy", lambda states: copies.append(copied(states)) or copies[-1])
    with pytest.raises(StoppedError):
        tiny_run(data, folder, stop=stop)
    assert kept == [4, 7]
    monkeypatch.undo()
    alone = tmp_path / "alone"
    with pytest.raises(StoppedError):
        tiny_run(data, alone, stop=lambda: (alone / "losses.csv").exists() and len(losses(alone)) >= 3)
    alone /= "step-000000004"
    named, states = copies[0]
    expected = torch.load(alone / "optimiser.pt", weights_only=True)["optimiser"]["state"]
    assert all(torch.equal(value, named[name]) for name, value in load_file(alone / "weights.safetensors").items())
    assert expected
    for place, state in expected.items():
        assert all(torch.equal(value, states["optimiser"]["state"][place][name]) for name, value in state.items())


@pytest.mark.parametrize("where", ["checkpoint", "cache"])
def test_a_full_disk_ends_the_run_and_the_last_checkpoint_is_gone_on_from(data, tmp_path, monkeypatch, where):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    folder, cache = tmp_path / "run", tmp_path / "cache"
    with pytest.raises(BrokenOff):
        tiny_run(data, folder, cache, stop_at=6)
    with monkeypatch.context() as patch:
        patch.setattr(*((keeper, "save_checkpoint") if where == "checkpoint" else (teacher_cache, "_append")), full)
        with pytest.raises(OSError, match="No space left"):
            tiny_run(data, folder, cache)
    assert len(losses(folder)) <= 13
    assert [path.name for path in folder.glob("step-*")] == ["step-000000004"]
    resumed, _ = tiny_run(data, folder, cache)
    expected = weights(tiny_run(data, tmp_path / "whole", tmp_path / "another")[0])
    assert all(torch.equal(value, expected[name]) for name, value in weights(resumed).items())


def test_copies_share_no_memory():
    table = torch.randn(4, 3)
    states = {"tied": [table, (table.T, 0.5)], "name": "adam"}
    found = host_copy(states)
    expected = table.clone()
    table.zero_()
    first, (second, rate) = found["tied"]
    assert torch.equal(first, expected)
    assert torch.equal(second, expected.T)
    assert second.is_contiguous()
    assert first.data_ptr() != second.data_ptr()
    assert (rate, found["name"]) == (0.5, "adam")
