"""The least that a step of the student takes: one batch again and again, its targets at hand."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import torch

from benchmarks.distill_ways import optimiser_seconds, synchronise
from distill.accelerators import own_accelerator
from distill.feed import Feed
from distill.graphs import ORDINARY_STEPS, GraphSteps, make_recorder
from distill.optimiser import make_optimiser
from distill.precision import gpu_kernels
from distill.shards import Position
from distill.step import StudentStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.distill_ways import Ours


def step_floor(ours: Ours, steps: int) -> dict[str, float]:
    """Milliseconds of a step by itself, and on a GPU of the same step as a graph; of clipping and AdamW alone.

    Also of a graph of kernels that `torch.compile` made, and of making them.

    Args:
        ours: stage, teacher and stream; its weights are trained on.
        steps: to take the mean of.
    """
    stage, settings, device = ours.stage, ours.settings, ours.stage.model.device
    gpu = device.type == "cuda"
    accelerator = own_accelerator(stage, settings)
    model, optimiser = accelerator.prepare(stage.train(), make_optimiser(stage, settings, graphs=gpu))
    given_alike = (stage, model, accelerator, optimiser, settings.clip, settings.precision)
    step, rows = StudentStep(*given_alike), ours.stream.settings.batch_rows
    feed = Feed(ours.stream, ours.targets(), stage.wanted, device, buckets=gpu)
    lessons = feed.lessons(Position())
    lesson = next(lessons)
    lessons.close()
    [part], [given] = lesson.parts, lesson.given

    def by_itself() -> None:
        step(part.packed.to(device), given, 1 / len(part.batch))

    found = {"optimiser": 1000 * optimiser_seconds(ours, lesson.batch)}
    with gpu_kernels(settings.precision, device):
        found["by itself"] = _milliseconds(by_itself, steps)
        for name, compiled in (("as a graph", False), ("as a graph, compiled", True)) if gpu else ():
            recorded = StudentStep(*given_alike, compiled)
            run = partial(GraphSteps(recorded, make_recorder(device), rows).run, part, given)
            began = time.perf_counter()
            ms = _milliseconds(run, steps)
            making = 1000 * (time.perf_counter() - began) - steps * ms
            if run() is not None and recorded.compiled == compiled:  # else it could not be made, and nothing was run
                found |= {name: ms, f"{name}: making it": making}
    return found


def _milliseconds(run: Callable[[], object], steps: int) -> float:
    for _ in range(ORDINARY_STEPS + 2):
        torch.manual_seed(0)
        run()
    synchronise()
    start = time.perf_counter()
    for _ in range(steps):
        run()
    synchronise()
    return 1000 * (time.perf_counter() - start) / steps
