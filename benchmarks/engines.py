"""Finding candidates with one and two workers, on Ray and without it: masked words a second once the workers are up.

    python benchmarks/engines.py --task sst2 --data GLUE/SST-2 --mlm MODEL --limit 7000 [--json out.json]

Each cell is a whole `tinyaug augment` in a folder of its own, read off as its parts finish. Starting workers is left
out: the clock starts when as many parts are finished as there are workers. Cells of one number of workers follow each
other, in turns of both engines, so that a drift of the machine meets both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent  # run as a file, this folder's modules would hide the packages
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]

from rich.console import Console
from rich.table import Table

from pipelines.augmenting.augment_job import run_augment
from pipelines.augmenting.request import AugmentRequest
from pipelines.augmenting.settings import JobSettings
from pipelines.augmenting.stages import CANDIDATES
from pipelines.engines import EngineSettings
from pipelines.found import Found
from pipelines.reporting import Silent
from pipelines.run_folder.records import Record

if TYPE_CHECKING:
    from distill.training_settings import Progress

ENGINES = ("local", "ray")


class Watch(Silent):
    """A reporter that writes down when each part of the candidate stage finished."""

    def __init__(self) -> None:
        self.finished: list[tuple[float, int]] = []
        self._candidates = False

    def started(self, stage: str, parts: int, finished: list[Record], cost: dict[int, float]) -> None:  # noqa: ARG002
        """Takes note of the candidate stage alone."""
        self._candidates = stage == CANDIDATES

    def advanced(self, now: Record | Progress) -> None:
        """Notes a part."""
        if self._candidates and isinstance(now, Record):
            self.finished.append((time.perf_counter(), now.counts["masked_words"]))

    def rate(self, workers: int) -> float:
        """Masked words a second of the parts that finished after each worker's first."""
        since, after = self.finished[workers - 1][0], self.finished[workers:]
        if not after:
            raise SystemExit(f"expected more than {workers} parts, found {len(self.finished)}; raise --limit")
        return sum(words for _, words in after) / (after[-1][0] - since)


def main() -> None:
    """Measures and prints."""
    arguments = _arguments()
    rates: dict[tuple[str, int], list[float]] = {}
    parts = 0
    for _ in range(arguments.rounds):
        for workers in arguments.workers:
            for engine in ENGINES:
                watch = _run(arguments, engine, workers)
                parts = len(watch.finished)
                rates.setdefault((engine, workers), []).append(watch.rate(workers))
                print(f"{engine}, {workers}: {rates[engine, workers][-1]:,.1f} masked words/s", file=sys.stderr)
    _report(arguments, {cell: statistics.median(found) for cell, found in rates.items()}, parts)


def _run(arguments: argparse.Namespace, engine: str, workers: int) -> Watch:
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch()
        request = AugmentRequest(
            task=arguments.task,
            data=Path(arguments.data),
            mlm=arguments.mlm,
            glove=arguments.glove,
            out=f"{folder}/run",
            settings=JobSettings(limit=arguments.limit),
            engine=EngineSettings(engine, workers),
        )
        run_augment(request, watch, Found())
        return watch


def _report(arguments: argparse.Namespace, rates: dict[tuple[str, int], float], parts: int) -> None:
    table = Table("workers", *ENGINES, "Ray / local", title=f"masked words a second, {parts} parts")
    content: dict[str, Any] = {"rounds": arguments.rounds, "parts": parts, "cores": os.cpu_count()}
    for workers in arguments.workers:
        local, ray = (rates[engine, workers] for engine in ENGINES)
        table.add_row(str(workers), f"{local:,.1f}", f"{ray:,.1f}", f"{ray / local:.3f}")
        content[f"workers_{workers}"] = {"local": local, "ray": ray, "ray_over_local": ray / local}
    first, last = arguments.workers[0], arguments.workers[-1]
    for engine in ENGINES:
        content[f"{engine}_{last}_over_{first}"] = rates[engine, last] / rates[engine, first]
    console = Console()
    console.print(table)
    gains = ", ".join(f"{engine} {content[f'{engine}_{last}_over_{first}']:.2f}x" for engine in ENGINES)
    console.print(f"{first} to {last} workers: {gains}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({**content, "machine": platform.processor()}, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--data", required=True)
    parser.add_argument("--mlm", required=True)
    parser.add_argument("--glove", default=None)
    parser.add_argument("--limit", type=int, default=7000, help="first rows; enough for several parts a worker")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
