"""Training on a device: on a GPU as on the CPU, where every one of these tests runs, too."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from distill.evaluation import predict
from distill.losses import LossSettings
from distill.objectives import IntermediateStage, LabelStage, PredictionStage
from distill.precision import Precision, resolve_precision
from distill.shards import Position
from distill.teacher import Teacher, Wanted
from distill.training import train
from distill.training_settings import Hooks, TrainSettings
from tests.devices import DEVICES, expected_precision
from tests.distill.data import open_stream, write_shards
from tests.distill.models import tiny_encoder
from tests.distill.runs import LAYERS, losses, tiny_pair, tiny_targets

on_devices = pytest.mark.parametrize("device", DEVICES)


class StoppedError(Exception):
    """What ends a run in the middle."""


def run(data, folder, device, kind=IntermediateStage, cache=None, stop=None, **changes):
    """Trains a tiny student without dropout on a device; gives the stage and its teacher."""
    if device not in ("cpu", "cuda"):
        torch.cuda.set_device(device)  # as the training verbs do
    student, teacher = tiny_pair(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    teacher = Teacher(teacher.model.to(device), LAYERS, changes.get("precision", Precision.AUTO))
    stage, stream = kind(student, teacher, LossSettings()), open_stream(data)

    def progress(now) -> None:
        if now.step == stop:
            raise StoppedError

    usual = {"epochs": 2, "learning_rate": 1e-2, "log_every": 1, "checkpoint_every": 4, "cpu": device == "cpu"}
    settings = TrainSettings(**(usual | changes))
    train(stage, stream, tiny_targets(teacher, stream, cache), folder, settings, Hooks(progress))
    return stage, teacher


@on_devices
def test_student_and_teacher_are_there_and_auto_is_recorded(data, tmp_path, device):
    stage, teacher = run(data, tmp_path, device, max_steps=1)
    wanted = torch.device(device if device != "cuda" else f"cuda:{torch.cuda.current_device()}")
    assert {value.device for value in stage.state_dict().values()} == {wanted}
    batch = next(iter(open_stream(data).batches(Position())))
    assert {states.device for states in teacher.targets(batch, Wanted(hidden=True, scores=True)).hidden} == {wanted}
    [state] = tmp_path.glob("step-*/state.json")
    assert json.loads(state.read_text())["run"]["precision"] == expected_precision(device)
    assert resolve_precision(Precision.AUTO, wanted) == expected_precision(device)


@on_devices
@pytest.mark.parametrize("kind", [IntermediateStage, PredictionStage])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("tf32", 1e-2), ("bf16", 0.05)])
def test_losses_are_those_of_the_cpu(data, tmp_path, device, kind, precision, tolerance):
    if device == "cpu" and precision == "tf32":
        precision = "fp32"
    run(data, tmp_path / "here", device, kind, max_steps=4, precision=Precision(precision))
    run(data, tmp_path / "cpu", "cpu", kind, max_steps=4, precision=Precision.FP32)
    assert losses(tmp_path / "here") == pytest.approx(losses(tmp_path / "cpu"), rel=tolerance)


@on_devices
def test_a_run_goes_on_there_with_a_cache(data, tmp_path, device):
    with pytest.raises(StoppedError):
        run(data, tmp_path / "stopped", device, cache=tmp_path / "a", stop=18)
    run(data, tmp_path / "stopped", device, cache=tmp_path / "a")
    run(data, tmp_path / "whole", device, cache=tmp_path / "b")
    assert len(losses(tmp_path / "stopped")) == 26
    # A GPU adds up in any order, so the two are close, not equal.
    tolerance = 0 if device == "cpu" else 2e-2
    assert losses(tmp_path / "stopped") == pytest.approx(losses(tmp_path / "whole"), rel=tolerance, abs=0)


@on_devices
@pytest.mark.parametrize("kind", [IntermediateStage, PredictionStage])
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 5e-3), ("bf16", 0.1)])
def test_graphs_and_a_teacher_ahead_change_no_loss(data, tmp_path, device, kind, cached, precision, tolerance):
    """For 50 steps, in which rounding adds up; on a CPU the teacher alone can run ahead."""
    usual = {"epochs": 4, "max_steps": 50, "precision": Precision(precision), "learning_rate": 1e-3}
    other = {"teacher_group": 4} if device == "cpu" else {"teacher_group": 1, "graphs": False}
    folders = [tmp_path / name if cached else None for name in ("a", "b")]
    run(data, tmp_path / "usual", device, kind, folders[0], **usual)
    run(data, tmp_path / "other", device, kind, folders[1], **usual, **other)
    assert len(losses(tmp_path / "usual")) == 50
    assert losses(tmp_path / "usual") == pytest.approx(losses(tmp_path / "other"), rel=tolerance)


@pytest.mark.parametrize("device", DEVICES[1:])
@pytest.mark.parametrize("kind", [IntermediateStage, PredictionStage])
def test_compiled_kernels_change_no_loss(data, tmp_path, device, kind, caplog):
    usual = {"epochs": 4, "max_steps": 50, "precision": Precision.BF16, "learning_rate": 1e-3}
    run(data, tmp_path / "usual", device, kind, **usual)
    run(data, tmp_path / "compiled", device, kind, compiled=True, **usual)
    assert not [record for record in caplog.records if "compile" in record.message]
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "usual"), rel=0.1)


@pytest.mark.parametrize("device", DEVICES[1:])
@pytest.mark.parametrize("kind", [IntermediateStage, PredictionStage, LabelStage])
def test_nearly_all_steps_run_as_graphs(tmp_path, device, kind):
    """But two of each width; with the dropout of a training student."""
    data = write_shards(tmp_path / "data", sizes=(96,))
    torch.cuda.set_device(torch.device(device).index or 0)
    student, teacher = tiny_pair(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    teacher.model.to(device)
    stage = LabelStage(student.model) if kind is LabelStage else kind(student, teacher, LossSettings())
    stream, curves = open_stream(data), []
    start = copy.deepcopy(stage.state_dict())
    for name in ("a", "b"):
        stage.load_state_dict(start)
        targets = None if kind is LabelStage else tiny_targets(teacher, stream, None)
        state = train(stage, stream, targets, tmp_path / name, TrainSettings(epochs=12, learning_rate=1e-3))
        assert state.graph_steps >= 0.95 * state.step
        curves.append(losses(tmp_path / name))
    assert curves[0] == pytest.approx(curves[1], rel=2e-2)  # dropout follows the seed of a step, not its history
    assert len(set(curves[0])) > 100


@on_devices
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_attention_is_not_cudnn_s(data, tmp_path, device, precision):
    """Neither the student's, forward and back, nor the teacher's."""
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device != "cpu")
    with profile(activities=kinds) as seen:
        run(data, tmp_path, device, PredictionStage, max_steps=2, precision=Precision(precision))
    names = {event.key for event in seen.key_averages()}
    assert "aten::scaled_dot_product_attention" in names
    assert not [name for name in names if "cudnn" in name.lower() and "attention" in name.lower()]


@on_devices
def test_predictions_are_those_of_the_cpu(data, device):
    here, _ = predict(tiny_encoder().to(device), open_stream(data), Precision.FP32)
    half, _ = predict(tiny_encoder().to(device), open_stream(data), Precision.BF16)
    there, _ = predict(tiny_encoder(), open_stream(data), Precision.FP32)
    np.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(half, there, atol=0.1 * np.abs(there).max())


@on_devices
def test_a_cpu_trains_after_a_gpu_in_one_process(data, tmp_path, device):
    run(data, tmp_path / "there", device, max_steps=1)
    stage, _ = run(data, tmp_path / "here", "cpu", max_steps=1)
    assert {value.device.type for value in stage.state_dict().values()} == {"cpu"}
