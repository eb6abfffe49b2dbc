"""Recorded and replayed steps: on a CPU by a recorder that replays by calling the step on the static tensors."""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters as dynamo_counters

from distill import graphs, training
from distill.errors import DistillError
from distill.general import GeneralStage, MaskedLmLoss
from distill.graphs import ATTEMPTS, CudaRecorder
from distill.losses import LossSettings
from distill.masking import MaskSettings
from distill.objectives import IntermediateStage
from distill.precision import Precision
from distill.step import StudentStep
from distill.targets import Targets
from distill.training import train
from distill.training_settings import Hooks, TrainSettings
from tests.devices import needs_gpu
from tests.distill.data import open_stream
from tests.distill.runs import BrokenOff, losses, tiny_pair, tiny_run, tiny_targets
from tests.distill.test_general import pair
from tests.distill.test_packing import stream_of, write_ids

WHOLE = {"epochs": 4, "max_steps": 50}


class Replaying:
    """Records a step as a graph would be: nothing is computed meanwhile, and what it reads stays where it is."""

    def __init__(self) -> None:
        self.recorded = self.replays = 0

    def record(self, function):
        self.recorded += 1

        def replay():
            self.replays += 1
            return function()

        return replay

    def ordinary(self):
        return nullcontext()


class Refusing(Replaying):
    """Records nothing, as where a kernel cannot be captured, but `after` some attempts."""

    def __init__(self, after: int | None = None) -> None:
        super().__init__()
        self.attempts, self._after = 0, after

    def record(self, function):
        self.attempts += 1
        if self._after is None or self.attempts <= self._after:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        return super().record(function)


@pytest.fixture
def recorder(monkeypatch):
    """What a run with graphs records by."""

    def chosen(one):
        monkeypatch.setattr(training, "make_recorder", lambda _: one)
        return one

    return chosen


@pytest.mark.parametrize("stage", ["intermediate", "prediction"])
@pytest.mark.parametrize("cached", [False, True])
def test_replayed_steps_are_those_that_run_as_they_are(data, tmp_path, recorder, stage, cached):
    folders = [tmp_path / name if cached else None for name in ("a", "b")]
    replaying = recorder(Replaying())
    _, state = tiny_run(data, tmp_path / "graphs", folders[0], stage, graphs=True, **WHOLE)
    recorder(Refusing())
    _, plain = tiny_run(data, tmp_path / "plain", folders[1], stage, graphs=True, **WHOLE)
    assert (tmp_path / "graphs" / "losses.csv").read_bytes() == (tmp_path / "plain" / "losses.csv").read_bytes()
    assert replaying.replays == state.graph_steps > 30
    assert replaying.recorded == 2  # widths of 8 and 16
    assert (state.step, plain.graph_steps) == (50, 0)


def test_steps_without_graphs_differ_by_padding_alone(data, tmp_path, recorder):
    recorder(Replaying())
    tiny_run(data, tmp_path / "graphs", graphs=True, dropout=0.0, **WHOLE)
    tiny_run(data, tmp_path / "off", graphs=False, dropout=0.0, **WHOLE)
    assert losses(tmp_path / "off") == pytest.approx(losses(tmp_path / "graphs"), rel=1e-3)


def test_a_run_goes_on_with_graphs(data, tmp_path, recorder):
    recorder(Replaying())
    with pytest.raises(BrokenOff):
        tiny_run(data, tmp_path / "stopped", stop_at=22, graphs=True, **WHOLE)
    [kept] = (tmp_path / "stopped").glob("step-*/state.json")
    before = json.loads(kept.read_text())["state"]["graph_steps"]
    _, state = tiny_run(data, tmp_path / "stopped", graphs=True, **WHOLE)
    _, whole = tiny_run(data, tmp_path / "whole", graphs=True, **WHOLE)
    assert (tmp_path / "stopped" / "losses.csv").read_bytes() == (tmp_path / "whole" / "losses.csv").read_bytes()
    assert 0 < before < state.graph_steps < whole.graph_steps  # a new start has ordinary steps of its own


@pytest.mark.parametrize("first", [True, False])
def test_a_run_goes_on_where_rates_are_kept_otherwise(data, tmp_path, recorder, first):
    """In tensors with graphs, in numbers without."""
    recorder(Replaying())
    still = {"dropout": 0.0, **WHOLE}
    with pytest.raises(BrokenOff):
        tiny_run(data, tmp_path / "moved", stop_at=22, graphs=first, **still)
    tiny_run(data, tmp_path / "moved", graphs=not first, **still)
    tiny_run(data, tmp_path / "whole", graphs=first, **still)
    assert losses(tmp_path / "moved") == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)


def test_a_step_that_cannot_be_recorded_is_told_once(data, tmp_path, recorder, caplog):
    refusing = recorder(Refusing())
    _, state = tiny_run(data, tmp_path, graphs=True)
    told = [one.message for one in caplog.records if "CUDA graphs" in one.message]
    assert told == [
        "training goes on without CUDA graphs, more slowly: a step could not be recorded (operation not permitted when "
        "stream is capturing)"
    ]
    assert (state.step, state.graph_steps, refusing.attempts) == (26, 0, ATTEMPTS)


def test_what_broke_off_one_recording_does_not_end_all(data, tmp_path, recorder, caplog):
    recorder(Refusing(after=ATTEMPTS - 1))
    _, state = tiny_run(data, tmp_path / "late", graphs=True, **WHOLE)
    assert 0 < state.graph_steps < 50
    assert not caplog.records
    recorder(Refusing())
    tiny_run(data, tmp_path / "ordinary", graphs=True, **WHOLE)
    assert losses(tmp_path / "late") == losses(tmp_path / "ordinary")


def test_losses_are_read_a_look_later_and_none_is_lost(data, tmp_path, recorder):
    """So that the device has work while the host reads what it did."""
    recorder(Replaying())
    told = []
    student, teacher = tiny_pair()
    stage, hooks = IntermediateStage(student, teacher, LossSettings()), Hooks(told.append)
    settings = TrainSettings(4, 1e-3, log_every=5, max_steps=50, cpu=True, graphs=True)
    train(stage, open_stream(data), Targets(teacher), tmp_path, settings, hooks)
    curve = losses(tmp_path)
    assert len(curve) == 50
    assert [now.losses["loss"] for now in told] == [curve[now.step - 1] for now in told]
    # 13 steps of 100 examples, one of them short, are an epoch, at whose end all is read.
    assert [now.step for now in told] == [5, 13, 18, 26, 31, 39, 44, 50]
    assert [now.examples for now in told] == [80, 100, 180, 200, 280, 300, 380, 384]


@pytest.mark.parametrize("broken", [7, 11])
def test_a_loss_that_is_not_finite_is_told_though_late(data, tmp_path, recorder, broken):
    recorder(Replaying())

    class Broken(IntermediateStage):
        steps = 0

        def forward(self, inputs, targets, labels):
            self.steps += 1
            found = super().forward(inputs, targets, labels)
            return {**found, "hidden": found["hidden"] * (torch.nan if self.steps == broken else 1.0)}

    student, teacher = tiny_pair()
    settings = TrainSettings(4, 1e-3, log_every=5, max_steps=50, cpu=True, graphs=True)
    with pytest.raises(DistillError, match=f"finite losses; found nan in step {broken},"):
        train(Broken(student, teacher, LossSettings()), open_stream(data), Targets(teacher), tmp_path, settings)
    assert not list(tmp_path.glob("step-*"))
    assert len(losses(tmp_path)) == broken // 5 * 5  # of the looks before


@pytest.fixture
def compiler(monkeypatch):
    """Traces as `torch.compile` does, but makes no kernels: that takes a C++ compiler, and minutes."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", partial(real, backend="aot_eager"))


def test_compiled_steps_are_those_that_are_not(data, tmp_path, recorder, compiler):
    recorder(Replaying())
    dynamo_counters.clear()
    given = {"graphs": True, "dropout": 0.0, "precision": Precision.BF16, **WHOLE}
    _, state = tiny_run(data, tmp_path / "a", compiled=True, **given)
    assert 1 <= dynamo_counters["stats"]["unique_graphs"] <= 2  # one more where width and rows are equal
    assert not dynamo_counters["graph_break"]
    assert state.graph_steps > 30
    tiny_run(data, tmp_path / "b", **given)
    assert losses(tmp_path / "a") == pytest.approx(losses(tmp_path / "b"), rel=1e-3)


def test_making_kernels_draws_no_dropout_of_the_steps(data, tmp_path, recorder, compiler, monkeypatch):
    recorder(Replaying())
    given = {"graphs": True, "precision": Precision.BF16, "compiled": True, **WHOLE}
    tiny_run(data, tmp_path / "a", **given)
    real = StudentStep.make_kernels
    monkeypatch.setattr(StudentStep, "make_kernels", lambda *step: (real(*step), real(*step)))
    tiny_run(data, tmp_path / "b", **given)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


def test_a_run_that_cannot_be_compiled_goes_on_without(data, tmp_path, recorder, monkeypatch, caplog):
    recorder(Replaying())

    def failing(function, dynamic):
        def fails(*_):
            raise RuntimeError("no compiler\nat all")

        return fails

    monkeypatch.setattr(torch, "compile", failing)
    _, state = tiny_run(data, tmp_path / "a", graphs=True, compiled=True, **WHOLE)
    assert [one.message for one in caplog.records if "compile" in one.message] == [
        "training goes on without torch.compile, more slowly: it could not make the kernels of a step (no compiler)"
    ]
    assert state.graph_steps > 30
    tiny_run(data, tmp_path / "b", graphs=True, **WHOLE)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


def test_graphs_of_all_widths_read_the_same_memory(data, tmp_path, recorder, monkeypatch):
    """As much as the widest batch takes, whose outputs are recorded last here or first; wider ones are not recorded."""
    made, real = [], graphs.laid_out
    monkeypatch.setattr(graphs, "laid_out", lambda given, memory: made.append(memory) or real(given, memory))
    replaying = recorder(Replaying())
    tiny_run(data, tmp_path / "all", graphs=True, **WHOLE)
    assert len(made) == 2
    assert made[0] is made[1]
    monkeypatch.setattr(graphs, "TARGETS_BYTES", len(made[0]) // 2)
    _, state = tiny_run(data, tmp_path / "narrow", graphs=True, **WHOLE)
    assert (replaying.recorded, len(made)) == (3, 3)
    assert 0 < state.graph_steps < 50
    assert losses(tmp_path / "narrow") == losses(tmp_path / "all")


def test_without_memory_for_the_teacher_s_outputs_training_goes_on(data, tmp_path, recorder, monkeypatch, caplog):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    recorder(Replaying())
    monkeypatch.setattr(graphs, "targets_bytes", full)
    _, state = tiny_run(data, tmp_path, graphs=True)
    assert "a step could not be recorded (CUDA out of memory)" in caplog.text
    assert (state.step, state.graph_steps) == (26, 0)


def test_a_step_of_several_parts_goes_the_ordinary_way(data, tmp_path, recorder):
    replaying = recorder(Replaying())
    _, state = tiny_run(data, tmp_path, graphs=True, max_steps=6, accumulation=2)
    assert (state.step, state.graph_steps, replaying.recorded) == (6, 0, 0)


def test_general_distillation_with_masked_tokens(tmp_path, recorder):
    chance = np.random.default_rng(0)
    rows = [[2, *chance.integers(7, 20, size).tolist(), 3] for size in chance.integers(1, 11, 120)]
    data = write_ids(tmp_path / "packed", rows)

    def run(folder):
        student, teacher = pair()
        stream = stream_of(data, masking=MaskSettings(rate=0.3))
        stage = GeneralStage(student, teacher, LossSettings(), MaskedLmLoss(1.0, 1.0))
        settings = TrainSettings(epochs=4, learning_rate=1e-2, max_steps=50, cpu=True, graphs=True)
        return train(stage, stream, tiny_targets(teacher, stream, None), folder, settings, Hooks())

    recorder(Replaying())
    state = run(tmp_path / "graphs")
    recorder(Refusing())
    run(tmp_path / "plain")
    assert state.graph_steps > 0.5 * state.step
    assert (tmp_path / "graphs" / "losses.csv").read_bytes() == (tmp_path / "plain" / "losses.csv").read_bytes()


@needs_gpu
@pytest.mark.parametrize("waits", [torch.Tensor.item, lambda _: torch.cuda.synchronize()], ids=["item", "synchronize"])
def test_a_card_goes_on_where_a_capture_was_broken_off(waits):
    recorder, ones = CudaRecorder(), torch.ones(1000, device="cuda")
    current = torch.cuda.current_stream()
    with pytest.raises(RuntimeError):
        recorder.record(lambda: waits(torch.dropout(ones, 0.5, True).sum()))
    assert torch.cuda.current_stream() == current
    torch.manual_seed(3)
    expected = torch.dropout(ones, 0.5, True)  # of whose numbers a broken capture leaves none to be drawn
    torch.cuda.empty_cache()
    replay = recorder.record(lambda: torch.dropout(ones, 0.5, True))
    torch.manual_seed(3)
    assert torch.equal(replay(), expected)
