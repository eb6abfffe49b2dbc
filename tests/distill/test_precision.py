"""What `auto` means, the kernels that are chosen on a GPU, and heads that stay in fp32."""

from __future__ import annotations

import json
from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch

from distill.errors import DistillError
from distill.evaluation import predict
from distill.outputs import encoder_outputs, model_logits, record_scores
from distill.precision import Precision, autocast, gpu_kernels, resolve_precision
from distill.shards import Position
from distill.teacher import Teacher, Wanted
from tests.distill.data import open_stream
from tests.distill.models import FAMILIES, tiny_batch, tiny_encoder
from tests.distill.runs import tiny_run

CPU, CARD = torch.device("cpu"), torch.device("cuda:1")
BATCH = tiny_batch((7, 4, 9), pad=1)


@pytest.fixture
def cards(monkeypatch):
    """Makes torch believe in two GPUs of which the second one has a compute capability; gives what was asked for."""
    asked = []

    def make(major: int) -> list[torch.device]:
        def properties(device: torch.device) -> SimpleNamespace:
            asked.append(device)
            return SimpleNamespace(major=major)

        monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
        return asked

    return make


@pytest.mark.parametrize(("major", "chosen"), [(7, "fp32"), (8, "bf16"), (9, "bf16")])
def test_auto_goes_by_the_capability_of_the_very_card(cards, major, chosen):
    asked = cards(major)
    assert resolve_precision(Precision.AUTO, CARD) == chosen
    assert asked == [CARD]


def test_auto_on_a_cpu_and_what_was_chosen():
    assert resolve_precision(Precision.AUTO, CPU) is Precision.FP32
    for precision in (Precision.FP32, Precision.TF32, Precision.BF16, Precision.FP16):
        assert resolve_precision(precision, CARD) is precision
    with pytest.raises(DistillError, match="expected a GPU for precision tf32; found the device cpu"):
        resolve_precision(Precision.TF32, CPU)


def test_a_teacher_and_a_run_tell_what_was_decided(data, tmp_path):
    assert Teacher(tiny_encoder()).precision is Precision.FP32
    tiny_run(data, tmp_path, max_steps=1)
    [state] = tmp_path.glob("step-*/state.json")
    assert json.loads(state.read_text())["run"]["precision"] == "fp32"
    _, again = tiny_run(data, tmp_path, max_steps=1, precision=Precision.FP32)  # it is the same run
    assert again.step == 1


@pytest.mark.parametrize("stage", ["intermediate", "prediction"])
def test_weights_cast_together_give_what_autocast_gives(data, tmp_path, monkeypatch, stage):
    half = {"stage": stage, "max_steps": 6, "precision": Precision.BF16}
    tiny_run(data, tmp_path / "together", **half)
    monkeypatch.setattr("distill.step.HALF", {})
    tiny_run(data, tmp_path / "each", **half)
    curves = [(tmp_path / name / "losses.csv").read_bytes() for name in ("together", "each")]
    assert curves[0] == curves[1]


def flags() -> tuple[bool, str]:
    return torch.backends.cuda.cudnn_sdp_enabled(), torch.get_float32_matmul_precision()


@pytest.mark.parametrize(
    ("precision", "device", "inside"),
    [
        (Precision.FP32, CARD, (False, "highest")),
        (Precision.BF16, CARD, (False, "highest")),
        (Precision.TF32, CARD, (False, "high")),
        (Precision.FP32, CPU, (True, "highest")),
    ],
)
def test_the_process_s_flags_are_put_back(precision, device, inside):
    assert flags() == (True, "highest")
    with suppress(KeyboardInterrupt), gpu_kernels(precision, device):
        assert flags() == inside
        raise KeyboardInterrupt
    assert flags() == (True, "highest")


@pytest.fixture(params=sorted(FAMILIES))
def scorer(request):
    """A regression model whose scores lie around 3, where bf16 knows multiples of 1/64 alone."""
    model = tiny_encoder(request.param, num_labels=1)
    with torch.no_grad():
        last = getattr(model.classifier, "out_proj", model.classifier)
        last.bias.fill_(3.0)
        last.weight.mul_(0.2)
    record_scores(model, (2,))
    return model


def test_scores_are_not_rounded_to_bf16(scorer):
    with torch.no_grad():
        exact = model_logits(scorer, BATCH)
        with autocast(Precision.BF16, CPU):
            half = model_logits(scorer, BATCH)
            beside = encoder_outputs(scorer, BATCH)
    assert half.dtype == torch.float32
    assert ((half > 2) & (half < 4)).all()
    assert ((half * 64) % 1 != 0).all()
    torch.testing.assert_close(half, exact, atol=0.05, rtol=0)
    torch.testing.assert_close(beside.logits, half)


def test_predictions_and_targets_have_such_scores(data):
    model = tiny_encoder(num_labels=1)
    with torch.no_grad():
        model.classifier.bias.fill_(3.0)
    logits, _ = predict(model, open_stream(data), Precision.BF16)
    assert ((logits * 64) % 1 != 0).mean() > 0.9
    batch = next(iter(open_stream(data).batches(Position())))
    for wanted in (Wanted(logits=True), Wanted(logits=True, hidden=True, scores=True)):
        targets = Teacher(model, (2, 4), Precision.BF16).targets(batch, wanted)
        assert targets.logits.dtype == torch.float32
