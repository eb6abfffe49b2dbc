"""What an example costs: by steps, by the loop as a whole, and to read from a cache."""

from __future__ import annotations

import pytest
import torch

from distill import timing
from distill.groups import GroupLimits
from distill.losses import LossSettings
from distill.objectives import IntermediateStage, LabelStage
from distill.targets import cache_key, kept_outputs
from distill.timing import loop_cost, reading_cost, sample_batches, teacher_cost
from distill.training_settings import TrainSettings
from tests.distill.data import open_stream
from tests.distill.models import tiny_student
from tests.distill.runs import tiny_pair, weights

CPU = torch.device("cpu")


def test_a_gpu_is_given_batches_of_a_step(data):
    stream = open_stream(data, batch_rows=40)
    assert max(len(batch) for batch in sample_batches(stream, CPU)) == 32
    assert max(len(batch) for batch in sample_batches(stream, torch.device("cuda"))) == 40


@pytest.mark.parametrize("taught", [False, True])
def test_the_loop_is_timed_past_its_first_steps_and_the_stage_left_alone(data, monkeypatch, taught):
    monkeypatch.setattr(timing, "SECONDS", 0.3)
    monkeypatch.setattr(timing, "WARM_STEPS", 20)
    monkeypatch.setattr(timing, "WARM_SECONDS", 60.0)
    clock, slow = [0.0], [1.0] * 15 + [0.01] * 10_000  # seconds of each step
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    student, teacher = tiny_pair()
    stage = IntermediateStage(student, teacher, LossSettings()) if taught else LabelStage(tiny_student())
    before = weights(stage)
    real = type(stage).forward

    def forward(self, *arguments):
        clock[0] += slow.pop(0)
        return real(self, *arguments)

    monkeypatch.setattr(type(stage), "forward", forward)
    stream = open_stream(data, pool_rows=40)
    cost = loop_cost(stage, teacher if taught else None, stream, TrainSettings(3, 1e-3, max_steps=5, cpu=True))
    assert cost.teacher + cost.student == pytest.approx(0.01 / (100 / 13), rel=0.1)
    assert all(torch.equal(value, before[name]) for name, value in weights(stage).items())


def test_reading_costs_what_the_records_take(data):
    _, teacher = tiny_pair()
    stream = open_stream(data)
    batches, key = sample_batches(stream, CPU), cache_key(teacher, stream, "full")
    read = reading_cost(teacher, key, batches)
    assert 0 < read < 0.1
    made = [teacher_cost(teacher, kept_outputs(key), batches, GroupLimits(most)).teacher for most in (1, 3)]
    assert all(0 < one < 0.1 for one in made)
