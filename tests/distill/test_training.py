"""The loop: it learns, NaN stops with a name, the best epoch is kept, neither parts nor precision change it."""

from __future__ import annotations

import csv

import pytest
import torch

from distill.errors import DistillError
from distill.losses import LossSettings
from distill.objectives import LabelStage, PredictionStage
from distill.optimiser import learning_rate_factor
from distill.targets import Targets
from distill.teacher import Precision
from distill.training import train
from distill.training_settings import Hooks, TrainSettings
from tests.distill.data import open_stream
from tests.distill.models import tiny_student
from tests.distill.runs import BrokenOff, losses, tiny_pair, tiny_run, tiny_targets, weights


def test_losses_fall_and_are_logged(data, tmp_path):
    _, state = tiny_run(data, tmp_path, epochs=3)
    found = losses(tmp_path)
    assert len(found) == state.step == 39
    assert state.examples == 300
    assert sum(found[-5:]) < 0.8 * sum(found[:5])
    rows = list(csv.DictReader((tmp_path / "losses.csv").open()))
    assert list(rows[0]) == [
        "step", "epoch", "examples", "learning_rate", "loss", "embedding", "attention", "hidden"
    ]  # fmt: skip
    assert [row["epoch"] for row in rows] == ["0"] * 13 + ["1"] * 13 + ["2"] * 13
    assert sorted(int(row["examples"]) for row in rows)[:3] == [4, 4, 4]


def test_cold_warm_and_resumed_losses_are_equal(data, tmp_path):
    tiny_run(data, tmp_path / "cold", tmp_path / "cache")
    tiny_run(data, tmp_path / "warm", tmp_path / "cache")
    assert (tmp_path / "cold" / "losses.csv").read_bytes() == (tmp_path / "warm" / "losses.csv").read_bytes()
    tiny_run(data, tmp_path / "off")
    assert losses(tmp_path / "off")[0] == pytest.approx(losses(tmp_path / "cold")[0], rel=2e-3)


def test_accumulation_changes_nothing(data, tmp_path):
    tiny_run(data, tmp_path / "one", dropout=0.0, max_steps=8)
    tiny_run(data, tmp_path / "three", dropout=0.0, max_steps=8, accumulation=3)
    tiny_run(data, tmp_path / "nine", dropout=0.0, max_steps=8, accumulation=9)  # more parts than examples
    expected = losses(tmp_path / "one")
    assert losses(tmp_path / "three") == pytest.approx(expected, rel=2e-4)
    assert losses(tmp_path / "nine") == pytest.approx(expected, rel=2e-4)


def test_bf16_trains_and_stays_near(data, tmp_path):
    tiny_run(data, tmp_path / "full", dropout=0.0, max_steps=3)
    stage, _ = tiny_run(data, tmp_path / "half", dropout=0.0, max_steps=3, precision=Precision.BF16)
    assert losses(tmp_path / "half") == pytest.approx(losses(tmp_path / "full"), rel=0.05)
    assert losses(tmp_path / "half") != losses(tmp_path / "full")
    assert all(value.dtype == torch.float32 for value in stage.state_dict().values())


def test_best_epoch_is_kept(data, tmp_path):
    student, teacher = tiny_pair()
    stream, seen = open_stream(data), []

    def evaluate(stage) -> dict[str, float]:
        assert not stage.training
        seen.append(weights(stage))
        return {"accuracy": [0.5, 0.9, 0.7][len(seen) - 1]}

    stage = PredictionStage(student, teacher, LossSettings())
    settings = TrainSettings(epochs=3, learning_rate=1e-3, cpu=True)
    hooks = Hooks(evaluate=evaluate, select="accuracy")
    state = train(stage, stream, tiny_targets(teacher, stream, None), tmp_path, settings, hooks)
    assert (state.best_value, state.best_step, state.metrics) == (0.9, 26, {"accuracy": 0.7})
    assert all(torch.equal(value, seen[1][name]) for name, value in stage.state_dict().items())


def test_fine_tuning_is_the_same_loop(data, tmp_path):
    stage = LabelStage(tiny_student())
    train(stage, open_stream(data), None, tmp_path, TrainSettings(epochs=1, learning_rate=1e-2, cpu=True))
    assert len(losses(tmp_path)) == 13


def test_nan_stops_and_names_the_batch(data, tmp_path):
    tiny_run(data, tmp_path, max_steps=4, epochs=1)
    student, teacher = tiny_pair()
    with torch.no_grad():
        student.model.classifier.bias[0] = torch.nan
    stream = open_stream(data)
    stage = PredictionStage(student, teacher, LossSettings())
    with pytest.raises(DistillError, match=r"nan in step 1, whose batch of 8 has the rows .*train-0000\d"):
        train(
            stage,
            stream,
            tiny_targets(teacher, stream, None),
            tmp_path / "b",
            TrainSettings(epochs=1, learning_rate=1e-3, cpu=True),
        )
    assert not list((tmp_path / "b").glob("step-*"))


def test_a_broken_teacher_is_named_when_losses_are_looked_at(data, tmp_path):
    student, teacher = tiny_pair()
    stream, seen = open_stream(data), []
    with torch.no_grad():
        teacher.model.classifier.bias[0] = torch.nan
    settings = TrainSettings(epochs=1, learning_rate=1e-3, cpu=True, log_every=3, checkpoint_every=2)
    hooks = Hooks(progress=seen.append)
    with pytest.raises(
        DistillError, match=r"finite teacher logits; found \[nan, .*for shard \d, row \d+\. The teacher"
    ):
        train(PredictionStage(student, teacher, LossSettings()), stream, Targets(teacher), tmp_path, settings, hooks)
    assert not seen
    assert not list(tmp_path.glob("step-*"))


def test_a_gradient_that_is_not_finite_names_its_own_batch(data, tmp_path):
    """Under a finite loss; the next step's would be the first that shows it."""

    class NanBackwards(torch.autograd.Function):
        @staticmethod
        def forward(_, losses):
            return losses.clone()

        @staticmethod
        def backward(_, gradient):
            return gradient * torch.nan

    class Broken(LabelStage):
        def forward(self, inputs, targets, labels):
            losses = super().forward(inputs, targets, labels)["labels"]
            self.steps = getattr(self, "steps", 0) + 1
            return {"labels": NanBackwards.apply(losses) if self.steps == 3 else losses}

    settings = TrainSettings(epochs=1, learning_rate=1e-3, cpu=True, max_steps=3)
    with pytest.raises(DistillError, match=r"finite gradients; found nan in step 3.*in another folder"):
        train(Broken(tiny_student()), open_stream(data), None, tmp_path, settings)
    assert not list(tmp_path.glob("step-*"))


def test_schedule():
    settings = TrainSettings(epochs=1, learning_rate=1.0)
    factors = [learning_rate_factor(settings, progress / 100, 0) for progress in (0, 5, 10, 55, 100)]
    assert factors == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])
    capped = TrainSettings(epochs=1, learning_rate=1.0, warmup_steps=10)
    long = [learning_rate_factor(capped, step / 1000, step) for step in (5, 10, 50, 100, 550, 1000)]
    assert long == pytest.approx([0.5, 1.0, 0.95 / 0.99, 0.9 / 0.99, 0.45 / 0.99, 0.0])
    short = [learning_rate_factor(capped, step / 50, step) for step in (0, 5, 27.5, 50)]  # a tenth is less than 10
    assert short == pytest.approx([0.0, 1.0, 0.5, 0.0])
    assert learning_rate_factor(TrainSettings(epochs=1, learning_rate=1.0, warmup=0.0), 0.0, 0) == 1.0


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 0}, {"learning_rate": 0.0}, {"warmup": 1.0}, {"max_steps": 0}, {"accumulation": 0}],
)
def test_settings_are_checked(changes):
    with pytest.raises(DistillError):
        TrainSettings(**({"epochs": 1, "learning_rate": 1e-3} | changes))


@pytest.mark.parametrize(("first", "then", "expected"), [(True, False, "False"), (False, True, "True")])
def test_compiled_kernels_are_a_run_s_own(data, tmp_path, first, then, expected):
    with pytest.raises(BrokenOff):
        tiny_run(data, tmp_path, stop_at=9, compiled=first)
    with pytest.raises(DistillError, match=f"expected compiled {expected} as this run has"):
        tiny_run(data, tmp_path, compiled=then)
    tiny_run(data, tmp_path, compiled=first)


def test_what_needs_a_gpu_is_refused_on_a_cpu(data, tmp_path):
    with pytest.raises(DistillError, match="expected a GPU, on which steps run as graphs; found the device cpu"):
        tiny_run(data, tmp_path / "a", graphs=True)
    with pytest.raises(DistillError, match="expected a GPU for precision fp16; found none"):
        tiny_run(data, tmp_path / "b", precision="fp16")
    with pytest.raises(DistillError, match="expected a GPU for precision tf32"):
        tiny_run(data, tmp_path / "c", precision="tf32")
    with pytest.raises(DistillError, match="expected a precision of auto, fp32, tf32, bf16, fp16; found 'half'"):
        tiny_run(data, tmp_path / "d", precision="half")
