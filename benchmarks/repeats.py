"""Reading stored candidates for rows whose texts repeat, as QQP's questions do: row groups decoded, and seconds.

    python benchmarks/repeats.py [--rows 363846] [--repeats 0.3] [--json out.json]

The table is made up: pairs of texts, of which a share was there before, anywhere in the rows so far. Shards of rows
have the candidates of their texts read in order, out of Parquet and out of flat parts, as one worker does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent  # run as a file, this folder's modules would hide the packages
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]

import numpy as np
from rich.console import Console

from augment.candidate_table import Candidates, to_arrow
from augment.ragged import offsets_of
from pipelines.augmenting.candidates import group_bounds
from pipelines.augmenting.plan import shard_bounds
from pipelines.augmenting.settings import JobSettings, make_identity
from pipelines.augmenting.sources import StoredCandidates
from pipelines.augmenting.stages import CANDIDATES, Job
from pipelines.run_folder.parquet import RowReader, write_tables
from pipelines.run_folder.records import Record, ShardNames
from pipelines.run_folder.storage import Storage
from pipelines.tasks import find_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

TEXTS_OF_PART = 1024  # about what 150,000 tokens are
SPELLINGS = 5000


def main() -> None:
    """Measures and prints."""
    arguments = _arguments()
    generator = np.random.default_rng(0)
    numbers = _numbers(arguments.rows, arguments.repeats, generator)
    with tempfile.TemporaryDirectory(prefix="repeats-") as folder:
        job = Job(folder, folder, make_identity(find_task("qqp"), [], JobSettings(), {}), "made-up")
        bounds = [*range(0, int(numbers.max()) + 1, TEXTS_OF_PART), int(numbers.max()) + 1]
        groups = sum(_write_part(job, bounds, part, arguments.words, generator) for part in range(len(bounds) - 1))
        content: dict[str, Any] = {"rows": arguments.rows, "texts": bounds[-1], "row_groups": groups}
        for name, scattered in (("parquet", False), ("flat", True)):
            decoded, seconds = _read(job, bounds, numbers, scattered)
            content |= {f"{name}_row_groups_decoded": decoded, f"{name}_seconds": seconds}
        content["cores"] = os.cpu_count()
    console = Console(highlight=False)
    for name, value in content.items():
        console.print(f"{name:<28} {value:,.1f}" if isinstance(value, float) else f"{name:<28} {value:,}")
    if arguments.json:
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=363_846, help="pairs of texts")
    parser.add_argument("--repeats", type=float, default=0.3, help="share of the texts that were there before")
    parser.add_argument("--words", type=int, default=10, help="words of a text")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args()


def _numbers(rows: int, repeats: float, generator: np.random.Generator) -> np.ndarray:
    """Numbers of the texts of each row, by first occurrence: int64 (R, 2)."""
    new = generator.random(rows * 2) >= repeats
    new[0] = True
    before = np.cumsum(new)
    return np.where(new, before - 1, (generator.random(rows * 2) * before).astype(np.int64)).reshape(-1, 2)


def _write_part(job: Job, bounds: list[int], part: int, words: int, generator: np.random.Generator) -> int:
    """Writes a part of the table with its record, as the stage does; gives its row groups."""
    texts = bounds[part + 1] - bounds[part]
    text_offsets = offsets_of(np.maximum(1, generator.poisson(words, texts)))
    total = int(text_offsets[-1])
    starts = (np.arange(total) - np.repeat(text_offsets[:-1], np.diff(text_offsets))).astype(np.int32) * 2
    candidates = Candidates(
        [f"{bounds[part] + text} {'a ' * size}" for text, size in enumerate(np.diff(text_offsets).tolist())],
        text_offsets,
        starts,
        starts + np.int32(1),
        np.zeros(total, dtype=np.int8),
        np.arange(total + 1, dtype=np.int64) * 20,
        generator.integers(0, SPELLINGS, total * 20).astype(np.int32),
        generator.random(total * 20).astype(np.float32),
        [f"word{number}" for number in range(SPELLINGS)],
    )
    table, groups = to_arrow(candidates, [bytes(16)] * texts), group_bounds(text_offsets)
    names, storage = ShardNames(CANDIDATES, "part", len(bounds) - 1), Storage(job.root)
    written = write_tables(storage, names.data(part), (table.slice(a, b - a) for a, b in pairwise(groups)))
    record = Record(
        CANDIDATES,
        part,
        names.parts,
        bounds[part],
        bounds[part + 1],
        texts,
        written.bytes,
        written.sha256,
        job.candidates_hash,
        {},
    )
    storage.write_json(names.record(part), vars(record))
    return len(groups) - 1


def _read(job: Job, bounds: list[int], numbers: np.ndarray, scattered: bool) -> tuple[int, float]:
    """Reads the candidates of all shards; gives the row groups decoded and the seconds of one core."""
    decoded, original = 0, RowReader.take

    def counted(reader: RowReader, rows: np.ndarray, columns: list[str] | None = None) -> pa.Table:
        nonlocal decoded
        decoded += len(np.unique(np.searchsorted(reader._bounds, rows, side="right")))
        return original(reader, rows, columns)

    RowReader.take = counted  # type: ignore[method-assign]
    try:
        source, start = StoredCandidates(job, bounds, scattered), time.process_time()
        for texts in _shards(numbers):
            source.read(texts, np.ones(len(texts), dtype=np.int64))
        return decoded, time.process_time() - start
    finally:
        RowReader.take = original  # type: ignore[method-assign]


def _shards(numbers: np.ndarray) -> Iterator[np.ndarray]:
    for first, last in pairwise(shard_bounds(len(numbers), JobSettings().shard_rows)):
        yield np.unique(numbers[first:last])


if __name__ == "__main__":
    main()
