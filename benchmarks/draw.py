"""Drawing variants from a stored candidate table: variants a second and core, edits included.

    python benchmarks/draw.py [--rows 4096] [--words 10] [--n 20] [--json out.json]
    python benchmarks/draw.py --run runs/sst2        # from the candidates of a real run

Times exactly what a worker does between reading candidates and writing Parquet (places, draws, texts, edits), and
in turns with it what the Python interface does with the same candidates: `Augmenter.augment_table` and `augment`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent  # run as a file, this folder's modules would hide the packages
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]

import numpy as np
import pyarrow as pa
from rich.console import Console

from augment import Augmenter
from augment.candidate_table import Candidates, from_arrow
from augment.presets import DrawSettings
from augment.sites import find_sites
from augment.variants import draw_variants
from pipelines.augmenting.snapshot import read_snapshot
from pipelines.augmenting.stages import CANDIDATES
from pipelines.run_folder.parquet import RowReader
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Measures and prints."""
    arguments = _arguments()
    pa.set_cpu_count(1)
    candidates = _stored(arguments.run, arguments.rows) if arguments.run else _made_up(arguments)
    rows = len(candidates.texts)
    settings = DrawSettings(n=arguments.n)
    numbers, texts = np.arange(rows), np.arange(rows)[:, None]
    batch = draw_variants(find_sites(candidates), numbers, texts, ["sentence"], settings)
    augmenter = Augmenter.from_candidates(candidates)
    job, table, objects = _seconds(
        [
            lambda: draw_variants(find_sites(candidates), numbers, texts, ["sentence"], settings),
            lambda: augmenter.augment_table(candidates.texts, n=arguments.n),
            lambda: augmenter.augment(candidates.texts, n=arguments.n),
        ],
        arguments.rounds,
    )
    variants = rows * arguments.n
    content: dict[str, Any] = {
        "variants_per_second_per_core": variants / job,
        "edits_per_second_per_core": batch.counts["edits"] / job,
        "augment_table_variants_per_second_per_core": variants / table,
        "augment_variants_per_second_per_core": variants / objects,
        "rows": rows,
        "variants": variants,
        "words_with_candidates_per_row": batch.counts["drawable_words"] / max(variants, 1),
        "edits_per_variant": batch.counts["edits"] / max(variants, 1),
        "cpu_seconds": job,
        "python": platform.python_version(),
        "pyarrow": pa.__version__,
        "cores": os.cpu_count(),
    }
    console = Console(highlight=False)
    for name, value in content.items():
        console.print(f"{name:<42} {value:,.2f}" if isinstance(value, float) else f"{name:<42} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _seconds(ways: list[Callable[[], object]], rounds: int) -> list[float]:
    """The best time of each way over some rounds in turns, in seconds of one core (all threads together)."""
    best = [np.inf] * len(ways)
    for _ in range(rounds):
        for number, way in enumerate(ways):
            start = time.process_time()
            way()
            best[number] = min(best[number], time.process_time() - start)
    return best


def _made_up(arguments: argparse.Namespace) -> Candidates:
    """Random words of natural lengths, each with 20 candidates out of 5,000 spellings."""
    generator = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    spellings = ["".join(generator.choice(letters, size)) for size in generator.integers(2, 10, 5000)]
    counts = np.maximum(1, generator.poisson(arguments.words, arguments.rows))
    texts, starts, ends = [], [], []
    for row, count in enumerate(counts):
        words = [spellings[number] for number in generator.integers(0, len(spellings), count)]
        texts.append(f"{' '.join(words)} {row}")  # no two are equal
        sizes = np.array([len(word) for word in words])
        start = np.cumsum(sizes + 1) - sizes - 1
        starts.append(start)
        ends.append(start + sizes)
    total = int(counts.sum())
    return Candidates(
        texts,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate(starts).astype(np.int32),
        np.concatenate(ends).astype(np.int32),
        np.zeros(total, dtype=np.int8),
        np.arange(total + 1, dtype=np.int64) * 20,
        generator.integers(0, len(spellings), total * 20).astype(np.int32),
        np.full(total * 20, 0.01, dtype=np.float32),
        spellings,
    )


def _stored(run: str, rows: int) -> Candidates:
    """The first texts of a run's candidate table."""
    storage = Storage(run)
    snapshot = read_snapshot(storage)
    if snapshot is None:
        raise SystemExit(f"{run}: expected a run with candidates, found none")
    tables = []
    for name in storage.names(f"{CANDIDATES}/data"):
        reader = RowReader(storage, f"{CANDIDATES}/data/{name}")
        tables.append(reader.range(0, reader.rows))
        reader.close()
        if sum(table.num_rows for table in tables) >= rows:
            break
    return from_arrow(pa.concat_tables(tables).slice(0, rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--words", type=float, default=9.5, help="mean words of a made-up row")
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", help="run directory whose candidates are drawn from")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
