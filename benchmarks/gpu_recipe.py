"""The paper's whole recipe on SST-2: what `tinyaug run --dry-run` says of it, and what two minutes of it take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.gpu_loop import Loops
from benchmarks.gpu_parts import about, make_model, planned_by

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.gpu_parts import Results
    from pipelines.training.estimates import StageEstimate

FULL_ROWS = 67_349  # SST-2's train part


def measure(arguments: argparse.Namespace, results: Results, folder: Path) -> None:
    """The plan of the stages, then each of them for a fifth of `--seconds`; both for as many rows as SST-2 has."""
    results.content |= about(arguments.device, arguments.shape)
    stages = planned(arguments, folder)
    share = FULL_ROWS / stages[0].rows
    results.put("rows_planned", found=[stage.rows for stage in stages])
    (folder / "loops").mkdir()
    loops = Loops(arguments, folder / "loops")
    ways: list[Callable[..., dict[str, float]]] = [
        loops.labels, lambda rows, seconds: loops.cold(rows, seconds, True), loops.prediction,
    ]  # fmt: skip
    for name, stage, way in zip(("teacher", "intermediate", "prediction"), stages, ways, strict=True):
        found = way(stage.recipe.batch_rows, 0.2 * arguments.seconds)
        examples = stage.examples * share
        times = {
            "planned_seconds": stage.seconds * share,
            "seconds_at_this_rate": examples / found["examples_per_second"],
        }
        results.put("stages", name, found={**times, "examples": examples, **found})
    each = results.content["stages"].values()
    for time in ("planned_seconds", "seconds_at_this_rate"):
        results.put(time, found=sum(stage[time] for stage in each))


def planned(arguments: argparse.Namespace, folder: Path) -> tuple[StageEstimate, ...]:
    """The stages of `tinyaug run --dry-run`: the teacher's, the intermediate and the prediction stage."""
    mlm = make_model(arguments.shape, arguments.mlm, folder / "mlm")
    command = [
        "run", "--dry-run", "--task", arguments.task, "--data", arguments.data, "--mlm", mlm, "--teacher-model", mlm,
        "--student-init", "random", "--glove", arguments.glove, "--device", arguments.device, "--out", folder / "run",
        "--engine", "local", "--cache", "logits",
    ]  # fmt: skip
    stages: tuple[StageEstimate, ...] = planned_by("pipelines.whole_run.checks.plan_run", command).training.stages
    return stages
