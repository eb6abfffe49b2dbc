"""Host time of a training step on a GPU: everything but teacher and student, which are replaced by what costs nothing.

python benchmarks/distill_host.py [--task sst2 --data GLUE/SST-2 --mlm MODEL] [--rows 32 256]

The loop of the intermediate stage runs on a CPU as it does on a GPU: a thread packs batches, a teacher runs ahead on
groups of them, full batches are replayed. The teacher gives the same empty states each time, a replay computes nothing.
What is left is the host's own, without the launches; a card whose step takes less waits for it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent  # run as a file, this folder's modules would hide the packages
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]

import torch

from benchmarks.gpu_loop import ENDLESS, Loops
from distill import training
from distill.errors import StoppedError
from distill.graphs import GraphSteps
from distill.groups import GROUP_BATCHES
from distill.targets import Targets
from distill.teacher import Teacher, TeacherTargets
from distill.training_settings import Hooks, TrainSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from distill.feed import Part
    from distill.shards import Batch
    from distill.teacher import Wanted

DEMO = ROOT / "pipelines" / "demo"
WIDTH, HEADS, LAYERS = 768, 12, 4  # of BERT-base's states, at the layers of a 4-layer student
KINDS = ("embedding", "attention", "hidden")


class Recorder:
    """Records nothing."""

    def record(self, function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        """The function itself, which nobody calls."""
        return function

    def ordinary(self) -> nullcontext[None]:
        """Nothing."""
        return nullcontext()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--data", type=Path, default=DEMO / "sst2", help="of the task; the embedded sentences serve")
    parser.add_argument("--mlm", default=str(DEMO / "mlm"), help="whose tokenizer cuts them")
    parser.add_argument("--texts", type=int, default=3000, help="each of which comes 20 times")
    parser.add_argument("--rows", type=int, nargs="+", default=[32, 256], help="of a step")
    parser.add_argument("--seconds", type=float, default=20, help="of which the second half counts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    without_models()
    given = {**vars(arguments), "device": "cpu", "shape": "tiny", "seconds": 200}  # below 200 texts come less often
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            marks = measured(Loops(argparse.Namespace(**given), Path(folder)), rows, arguments.seconds)
        steps, wall, cpu = len(marks) - 1, marks[-1][0] - marks[0][0], marks[-1][1] - marks[0][1]
        print(
            f"batch {rows}: {1000 * wall / steps:.3f} ms a step, {steps * rows / wall:,.0f} examples/s; "
            f"{1000 * cpu / steps:.3f} ms of processor time in two threads"
        )


def without_models() -> None:
    """Replaces the teacher by constants, and the student's step by nothing."""
    states: dict[tuple[int, int], TeacherTargets] = {}

    def targets(_: Teacher, batch: Batch, __: Wanted) -> TeacherTargets:
        rows, width = batch.ids.shape
        if (rows, width) not in states:
            hidden = torch.zeros(1).expand(rows, width, WIDTH)
            scores = torch.zeros(1).expand(rows, HEADS, width, width)
            states[rows, width] = TeacherTargets(None, (hidden,) * LAYERS, (scores,) * LAYERS, hidden)
        return states[rows, width]

    def run(steps: Any, _: Part, __: TeacherTargets) -> torch.Tensor:
        steps._step.kinds = KINDS
        return torch.zeros(len(KINDS) + 1)

    Teacher.targets = targets  # type: ignore[method-assign]
    GraphSteps.run = run  # type: ignore[method-assign, assignment]
    training.make_recorder = lambda _: Recorder()


def measured(loops: Loops, rows: int, seconds: float) -> list[tuple[float, float]]:
    """Wall and processor time after each step of the second half."""
    marks: list[tuple[float, float]] = []
    began = time.perf_counter()

    def stop() -> bool:
        now = time.perf_counter() - began
        if now > seconds / 2:
            marks.append((time.perf_counter(), time.process_time()))
        return now > seconds

    stage, teacher = loops._intermediate()
    stream = loops._stream("train", rows)
    settings = replace(TrainSettings(ENDLESS, 5e-5, cpu=True), graphs=True, teacher_group=GROUP_BATCHES)
    with suppress(StoppedError):
        training.train(stage, stream, Targets(teacher), loops.folder / "run", settings, Hooks(stop=stop))
    stream.close()
    return marks


if __name__ == "__main__":
    main()
