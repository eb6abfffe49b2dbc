"""Seconds that an example costs on this machine, by a short measurement on a stage's own data."""

from __future__ import annotations

import copy
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from distill.cache_rows import packed, padded
from distill.errors import StoppedError
from distill.groups import ONE, GroupLimits, group_limits, in_groups
from distill.inputs import batch_tensors, pinned
from distill.losses import total_loss
from distill.optimiser import make_optimiser
from distill.precision import Precision, autocast, gpu_kernels
from distill.shards import Batch, Position, ShardStream
from distill.targets import Targets, kept_outputs
from distill.teacher import Teacher, TeacherTargets, Wanted
from distill.training import train
from distill.training_settings import Hooks, Progress, TrainSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from distill.cache_format import CacheKey
    from distill.objectives import Stage

SECONDS = 2.0  # of measuring a stage, past its first batch
MOST_BATCHES = 6, 30  # on a CPU and on a GPU
MOST_ROWS = 32  # of a batch on a CPU, where larger ones cost about the same an example
WARM_STEPS, WARM_SECONDS = 150, 20.0  # of the loop, whichever comes first: steps of all shapes become graphs
MANY = 10**6  # epochs
FIRST = 1, 3  # batches that do not count, on a CPU and on a GPU: they allocate, and load kernels


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


def sample_batches(stream: ShardStream, device: torch.device) -> list[Batch]:
    """A few batches from all over a data set, without reading more than a few chunks of it.

    Args:
        stream: the data.
        device: that they will be computed on; on a GPU they have all rows of a step.
    """
    rows = stream.settings.batch_rows
    rows = rows if device.type == "cuda" else min(rows, MOST_ROWS)
    count = MOST_BATCHES[device.type == "cuda"] + 1
    wanted = rows * count
    small = replace(stream.settings, batch_rows=rows, pool_rows=wanted, chunk_rows=max(1, rows // 4), workers=0)
    own = stream.tokenizer_json, stream.pad_id
    sample = ShardStream(stream.files, stream.columns, *own, small, other=stream.other)
    return list(islice(sample.batches(Position()), count))


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
        return _mean_cost(lambda group: step(group[0]), [[batch] for batch in batches], device)


def teacher_cost(teacher: Teacher, wanted: Wanted, batches: Sequence[Batch], group: GroupLimits | None = None) -> Cost:
    """Times the teacher alone, as it fills a cache.

    Args:
        teacher: the teacher.
        wanted: which of its outputs are kept.
        batches: of its data, at least one.
        group: batches on which it runs together; None for `own_group`.
    """
    device = teacher.model.device

    def step(batches: Sequence[Batch]) -> tuple[float, float]:
        start = _now(device)
        teacher.targets_of_group(batches, wanted)
        return _now(device) - start, 0.0

    groups = in_groups(batches, own_group(teacher, wanted) if group is None else group, lambda batch: batch)
    return _mean_cost(step, list(groups), device)


def own_group(teacher: Teacher, wanted: Wanted) -> GroupLimits:
    """Batches on which a teacher runs together: several on a GPU, one on a CPU."""
    return group_limits(teacher, wanted, 4) if teacher.model.device.type == "cuda" else ONE


def loop_cost(stage: Stage, teacher: Teacher | None, stream: ShardStream, settings: TrainSettings) -> Cost:
    """Times the training loop itself on a copy of a stage: what it takes by graphs and a teacher that runs ahead.

    Args:
        stage: what will be trained; its weights are left as they are.
        teacher: whose outputs it learns from; None for labels.
        stream: its data, or a sample.
        settings: of the loop; it ends after some seconds.
    """
    teaching = 0.0
    if teacher is not None:
        batches = sample_batches(stream, teacher.model.device)
        teaching = teacher_cost(teacher, stage.wanted, batches).teacher
    seen: list[tuple[float, int]] = []
    began = time.perf_counter()

    def progress(now: Progress) -> None:
        if now.step >= WARM_STEPS or time.perf_counter() - began >= WARM_SECONDS:
            seen.append((time.perf_counter(), now.examples))

    def enough() -> bool:
        return len(seen) > 1 and seen[-1][0] - seen[0][0] >= SECONDS

    short = replace(settings, epochs=MANY, max_steps=None, checkpoint_every=None)
    targets = None if teacher is None else Targets(teacher)
    hooks = Hooks(progress=progress, stop=enough)
    with tempfile.TemporaryDirectory(prefix="timing-") as folder, suppress(StoppedError):
        train(copy.deepcopy(stage), stream, targets, Path(folder), short, hooks)
    stream.close()
    seconds = (seen[-1][0] - seen[0][0]) / (seen[-1][1] - seen[0][1])
    return Cost(min(teaching, seconds), max(0.0, seconds - teaching))


def reading_cost(teacher: Teacher, key: CacheKey, batches: Sequence[Batch]) -> float:
    """Times how records of a cache come from the host's memory to the teacher's device, in seconds an example.

    Args:
        teacher: whose outputs they are.
        key: of the cache.
        batches: of its data, at least one.

    Raises:
        DistillError: the teacher's outputs do not fit the cache's dtype.
    """
    wanted, device = kept_outputs(key), teacher.model.device
    batches = batches[: FIRST[device.type == "cuda"] + 2]  # their records are held in memory
    coming = iter([packed(key, b, range(len(b)), teacher.targets(b, wanted), teacher.layer_map) for b in batches])

    def step(group: Sequence[Batch]) -> tuple[float, float]:
        found = [*next(coming).values()]
        start = _now(device)
        for array in padded(key, group[0], found, wanted).values():
            pinned(torch.from_numpy(array), device).to(device, non_blocking=True)
        return _now(device) - start, 0.0

    return _mean_cost(step, [[batch] for batch in batches], device).teacher


def _mean_cost(
    step: Callable[[Sequence[Batch]], tuple[float, float]], groups: Sequence[Sequence[Batch]], device: torch.device
) -> Cost:
    """Runs steps until they have taken SECONDS; the first ones count only if there are no others."""
    first = min(FIRST[device.type == "cuda"], len(groups) - 1)
    teaching = learning = 0.0
    examples = 0
    for number, group in enumerate(groups):
        times = step(group)
        if number >= first:
            teaching, learning = teaching + times[0], learning + times[1]
            examples += sum(len(batch) for batch in group)
        if teaching + learning > SECONDS:
            break
    return Cost(teaching / examples, learning / examples)


def _now(device: torch.device) -> float:
    if device.type != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()
