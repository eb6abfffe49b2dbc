"""Reading and planning an input, before anything is computed: rows a second, processor time and memory.

    python benchmarks/planning.py [--rows 1000000] [--formats csv tsv jsonl parquet] [--words] [--json out.json]

For each format a file of made-up words is written, then read in processes of their own: by columns, as jobs do, and
row by row by the exact reader, which jobs use where anything is wrong. The input snapshots must be the same bytes.
`--words` also collects the distinct words, as jobs with word vectors do. The last number is the rows over the processor
time of the thread that numbers them: what more cores could give at most. `taskset -c 0` leaves one core.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent  # run as a file, this folder's modules would hide the packages
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from pipelines.augmenting.settings import Identity, JobSettings
from pipelines.augmenting.snapshot import ROWS, TEXTS, write_snapshot
from pipelines.augmenting.stages import Job
from pipelines.run_folder.storage import Storage
from pipelines.tasks import CustomOptions, open_task
from pipelines.tasks.readers import feed

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = ("csv", "tsv", "jsonl", "parquet")
AT_ONCE = 50_000


@dataclass(frozen=True)
class Measured:
    """What reading one file took: seconds, processor seconds, bytes of memory at the peak, and digests of the input.

    `alone` is the part of the processor seconds that was one thread's, and no core's but one.
    """

    wall: float
    cpu: float
    alone: float
    memory: int
    digests: list[str]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--words", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(_read(Path(arguments.read[0]), arguments.read[1] == "exact", arguments.words)))
        return
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in arguments.formats:
            path = Path(folder) / f"train.{suffix}"
            _write(path, arguments.rows)
            ways = ("columns",) if suffix == "parquet" else ("columns", "exact")
            measured = {way: _apart(path, way, arguments.words) for way in ways}
            if len({tuple(one.digests) for one in measured.values()}) > 1:
                raise SystemExit(f"{suffix}: expected the same snapshot from both readers, found others")
            _show(suffix, arguments.rows, measured)
            results[suffix] = {way: vars(one) for way, one in measured.items()}
            path.unlink()
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": arguments.rows, "formats": results}, indent=1) + "\n")


def _show(suffix: str, rows: int, measured: dict[str, Measured]) -> None:
    for way, one in measured.items():
        Console().print(
            f"{suffix:8} {way:8} {rows / one.wall:10,.0f} rows/s {rows / one.cpu:10,.0f} rows/s of processor time "
            f"{one.memory / 2**20:8,.0f} MiB {rows / one.alone:10,.0f} rows/s at most",
            soft_wrap=True,
        )


def _apart(path: Path, way: str, words: bool) -> Measured:
    command = [sys.executable, __file__, "--read", str(path), way, *(["--words"] if words else [])]
    return Measured(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _read(path: Path, exact: bool, words: bool) -> dict[str, Any]:
    if exact:
        feed._by_columns = lambda *_: None
    start, before, alone = time.perf_counter(), time.process_time(), time.thread_time()
    bad: list[Any] = []
    opened = open_task("custom", path, CustomOptions(("text",), "label"), on_bad=bad.append)
    files = [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in opened.split("train").files]
    with tempfile.TemporaryDirectory() as out:
        vectors = "vectors" if words else None
        job = Job(out, out, Identity(opened.task, files, JobSettings(), {}, {}), "", "", glove=vectors)
        write_snapshot(job, opened, bad)
        wall, cpu, alone = time.perf_counter() - start, time.process_time() - before, time.thread_time() - alone
        # Linux alone; getrusage gives the peak of the process that started this one where that was higher.
        memory = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
        digests = [_digest(Path(Storage(out).root) / name) for name in (ROWS, TEXTS)]
    return vars(Measured(wall, cpu, alone, memory, digests))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(path: Path, rows: int) -> None:
    """Texts of 3 to 23 made-up words, of which one in ten repeats an earlier one and three in ten have a comma."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        suffix, writer = path.suffix, None
        if suffix in (".csv", ".tsv"):
            csv.writer(stream, delimiter="," if suffix == ".csv" else "\t").writerow(["text", "label", "id"])
        for table in _tables(rows):
            if suffix == ".parquet":
                writer = writer or pq.ParquetWriter(path, table.schema)
                writer.write_table(table)
            elif suffix == ".jsonl":
                stream.writelines(json.dumps(row) + "\n" for row in table.to_pylist())
            else:
                lines = csv.writer(stream, delimiter="," if suffix == ".csv" else "\t", lineterminator="\n")
                lines.writerows(zip(*table.to_pydict().values(), strict=True))
        if writer is not None:
            writer.close()


def _tables(rows: int) -> Iterator[pa.Table]:
    chance = np.random.default_rng(1)
    letters, often = np.array(list("etaoinshrdlucmfwypvbgkjqxz")), 1 / np.arange(1, 27)
    words = ["".join(chance.choice(letters, size, p=often / often.sum())) for size in chance.integers(1, 11, 40_000)]
    for start in range(0, rows, AT_ONCE):
        size = min(AT_ONCE, rows - start)
        lengths = chance.integers(3, 24, size)
        drawn = iter((chance.random(lengths.sum()) ** 3 * len(words)).astype(int).tolist())
        texts = [" ".join([words[next(drawn)] for _ in range(length)]) for length in lengths.tolist()]
        for row in np.flatnonzero(chance.random(size) < 0.1).tolist():
            texts[row] = texts[row // 7]
        for row in np.flatnonzero(chance.random(size) < 0.3).tolist():
            texts[row] = texts[row].replace(" ", ", ", 1)
        labels = np.where(chance.random(size) < 0.5, "positive", "negative").tolist()
        yield pa.table({"text": texts, "label": labels, "id": list(range(start, start + size))})


if __name__ == "__main__":
    main()
