"""Seconds that an example costs on this machine, by a short measurement on a stage's own data."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import torch

from distill.inputs import batch_tensors
from distill.losses import total_loss
from distill.optimiser import make_optimiser
from distill.precision import Precision, autocast, gpu_kernels
from distill.shards import Batch, Position, ShardStream
from distill.teacher import Teacher, TeacherTargets, Wanted
from distill.training_settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from distill.objectives import Stage

SECONDS = 2.0  # of measuring a stage, past its first batch
MOST_BATCHES = 6
MOST_ROWS = 32  # of a batch: larger ones cost about the same an example


@dataclass(frozen=True)
class Cost:
    """Seconds an example.

    Attributes:
        teacher: its forward pass; 0 without a teacher.
        student: forward and backward pass and optimiser.
    """

    teacher: float
    student: float


NOTHING = Cost(0.0, 0.0)


def sample_batches(stream: ShardStream) -> list[Batch]:
    """A few batches from all over a data set, without reading more than a few chunks of it."""
    rows = min(stream.settings.batch_rows or MOST_ROWS, MOST_ROWS)
    wanted = rows * (MOST_BATCHES + 1)
    small = replace(stream.settings, batch_rows=rows, pool_rows=wanted, chunk_rows=max(1, rows // 4), workers=0)
    sample = ShardStream(stream.files, stream.columns, stream.tokenizer_json, stream.pad_id, small)
    return list(islice(sample.batches(Position()), MOST_BATCHES + 1))


def stage_cost(stage: Stage, teacher: Teacher | None, batches: Sequence[Batch], precision: Precision) -> Cost:
    """Times training steps on a copy of a stage, on the device of its model; its weights are left as they are.

    Args:
        stage: what will be trained.
        teacher: whose outputs it learns from; None for labels.
        batches: of its data, at least one.
        precision: of matrix products.
    """
    trained = copy.deepcopy(stage).train()
    device = trained.model.device
    optimiser = make_optimiser(trained, TrainSettings(epochs=1, learning_rate=1e-6))

    def step(batch: Batch) -> tuple[float, float]:
        start = _now(device)
        targets = teacher.targets(batch, stage.wanted) if teacher is not None else TeacherTargets()
        taught = _now(device)
        tensors = batch_tensors(batch, device)
        with autocast(precision, device):
            losses = trained(tensors.inputs(trained.model), targets, tensors.labels)
        total_loss(losses).mean().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return taught - start, _now(device) - taught

    with gpu_kernels(precision, device):
        return _mean_cost(step, batches)


def teacher_cost(teacher: Teacher, wanted: Wanted, batches: Sequence[Batch]) -> Cost:
    """Times the teacher alone, as it fills a cache.

    Args:
        teacher: the teacher.
        wanted: which of its outputs are kept.
        batches: of its data, at least one.
    """
    device = teacher.model.device

    def step(batch: Batch) -> tuple[float, float]:
        start = _now(device)
        teacher.targets(batch, wanted)
        return _now(device) - start, 0.0

    return _mean_cost(step, batches)


def _mean_cost(step: Callable[[Batch], tuple[float, float]], batches: Sequence[Batch]) -> Cost:
    """Runs steps until they have taken SECONDS; the first one, which allocates, counts only if it is the only one."""
    teaching = learning = 0.0
    examples = 0
    for number, batch in enumerate(batches):
        times = step(batch)
        if number or len(batches) == 1:
            teaching, learning, examples = teaching + times[0], learning + times[1], examples + len(batch)
        if teaching + learning > SECONDS:
            break
    return Cost(teaching / examples, learning / examples)


def _now(device: torch.device) -> float:
    if device.type != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()
