"""Seconds an example costs on this machine, by a short measurement on the stage's own data."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill.objectives import Stage
    from distill.shards import Batch, ShardStream
    from distill.teacher import Teacher, Wanted
    from pipelines.options.running import Machine

SECONDS = 2.0  # of measuring a stage, past its first batch
MOST_BATCHES = 6
MOST_ROWS = 32  # of a batch: larger ones cost about the same an example


@dataclass(frozen=True)
class Cost:
    """Seconds an example.

    Args:
        teacher: its forward pass; 0 where there is none.
        student: forward and backward pass and optimiser.
    """

    teacher: float
    student: float


NOTHING = Cost(0.0, 0.0)


def sample_batches(stream: ShardStream) -> list[Batch]:
    """A few batches from all over a data set, without reading more than a few chunks of it."""
    from distill.shards import Position, ShardStream

    rows = min(stream.settings.batch_rows or MOST_ROWS, MOST_ROWS)
    wanted = rows * (MOST_BATCHES + 1)
    small = replace(stream.settings, batch_rows=rows, pool_rows=wanted, chunk_rows=max(1, rows // 4), workers=0)
    sample = ShardStream(stream.files, stream.columns, stream.tokenizer_json, stream.pad_id, small)
    batches = []
    for batch in sample.batches(Position()):
        batches.append(batch)
        if len(batches) > MOST_BATCHES:
            break
    return batches


def stage_cost(stage: Stage, teacher: Teacher | None, batches: list[Batch], machine: Machine) -> Cost:
    """Times training steps on a copy of a stage; its weights are left as they are.

    Args:
        stage: what will be trained.
        teacher: whose outputs it learns from; None for labels.
        batches: of its data, at least one.
        machine: device and precision.
    """
    import torch

    from distill.optimiser import make_optimiser
    from distill.precision import Precision, gpu_kernels
    from pipelines.training.loop import train_settings
    from pipelines.training.recipe import StageRecipe

    trained = copy.deepcopy(stage).to(machine.device).train()
    optimiser = make_optimiser(trained, train_settings(StageRecipe(1, 1, 1e-6), machine, 0))
    teaching = learning = 0.0
    examples = 0
    for number, batch in enumerate(batches):
        with gpu_kernels(Precision(machine.precision), torch.device(machine.device)):
            times = _step(trained, teacher, batch, optimiser, machine)
        if number == 0 and len(batches) > 1:
            continue  # the first one allocates
        teaching, learning, examples = teaching + times[0], learning + times[1], examples + len(batch)
        if teaching + learning > SECONDS:
            break
    return Cost(teaching / examples, learning / examples)


def teacher_cost(teacher: Teacher, wanted: Wanted, batches: list[Batch], machine: Machine) -> Cost:
    """Times the teacher alone, as it fills a cache.

    Args:
        teacher: the teacher.
        wanted: which of its outputs are kept.
        batches: of its data, at least one.
        machine: device and precision.
    """
    seconds, examples = 0.0, 0
    for number, batch in enumerate(batches):
        start = _now(machine)
        teacher.targets(batch, wanted)
        if number == 0 and len(batches) > 1:
            continue  # the first one allocates
        seconds, examples = seconds + _now(machine) - start, examples + len(batch)
        if seconds > SECONDS:
            break
    return Cost(seconds / examples, 0.0)


def _step(
    stage: Stage, teacher: Teacher | None, batch: Batch, optimiser: object, machine: Machine
) -> tuple[float, float]:
    import torch

    from distill.losses import total_loss
    from distill.teacher import Precision, TeacherTargets, autocast, model_inputs

    start = _now(machine)
    targets = teacher.targets(batch, stage.wanted) if teacher is not None else TeacherTargets()
    taught = _now(machine)
    labels = None if batch.labels is None else torch.from_numpy(batch.labels).to(machine.device)
    with autocast(Precision(machine.precision), torch.device(machine.device)):
        losses = stage(model_inputs(batch, stage.model), targets, labels)
    total_loss(losses).mean().backward()
    optimiser.step()  # type: ignore[attr-defined]
    optimiser.zero_grad(set_to_none=True)  # type: ignore[attr-defined]
    return taught - start, _now(machine) - taught


def _now(machine: Machine) -> float:
    if machine.device != "cpu":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()
