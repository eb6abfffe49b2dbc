"""Speed of `glove` side by side with gensim: nearest neighbours, first load, warm load.

python benchmarks/glove.py --glove glove.6B.50d.txt.gz --json glove.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from glove import WordVectors

ROOT = Path(__file__).resolve().parent.parent  # run as a file, this folder's modules would hide the packages
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]

import numpy as np
from rich.console import Console
from rich.table import Table

LOAD = (
    "import sys, time; start = time.perf_counter(); import glove; imported = time.perf_counter(); "
    "glove.load_vectors(sys.argv[1]); print(imported - start, time.perf_counter() - imported)"
)


def main() -> None:
    """Measures, prints a table and writes the figures."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TINYAUG_CACHE"] = cache
        _, first = _load_seconds(arguments.glove)
        warm_import, warm = _load_seconds(arguments.glove)
        from glove import load_vectors

        vectors = load_vectors(arguments.glove)
        figures = {
            "first_load_s": first,
            "warm_load_s": warm,
            "warm_import_s": warm_import,
            **_neighbours(vectors, arguments),
        }
        if arguments.gensim_load:
            figures["gensim_text_load_s"] = _gensim_text_seconds(arguments.glove)
    report = {"settings": _settings(vectors, arguments), **figures}
    _show(report, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--glove", required=True, help="file or name, as for glove.load_vectors")
    parser.add_argument("--queries", type=int, default=10_000, help="words asked at once")
    parser.add_argument("--k", type=int, default=20, help="neighbours of each")
    parser.add_argument("--gensim-sample", type=int, default=200, help="words of gensim's loop")
    parser.add_argument("--rounds", type=int, default=3, help="the best of them counts")
    parser.add_argument("--gensim-load", action="store_true", help="also time gensim's reader of the text")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def _load_seconds(source: str) -> tuple[float, float]:
    """Import and load seconds in a fresh process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LOAD, source]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    imported, loaded = output.split()[-2:]
    return float(imported), float(loaded)


def _neighbours(vectors: WordVectors, arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a word of every way; they take turns, and the best round of each counts."""
    from glove import nearest_neighbours

    rows = np.random.default_rng(0).permutation(len(vectors))[: arguments.queries]
    nearest_neighbours(vectors, rows[:256], arguments.k)  # warms BLAS and the memory map
    sample = rows[: max(1, len(rows) // 10)]
    few = rows[: arguments.gensim_sample]
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "gensim": (_gensim_loop(vectors, few, arguments.k), len(few)),
        "ours": (lambda: nearest_neighbours(vectors, rows, arguments.k), len(rows)),
        "product": (lambda: _by_blocks(vectors, sample, None), len(sample)),
        "plain_argpartition": (lambda: _by_blocks(vectors, sample, arguments.k), len(sample)),
    }
    rounds = [{name: _ms_a_word(*way) for name, way in ways.items()} for _ in range(arguments.rounds)]
    best = {name: min(times[name] for times in rounds) for name in ways}
    return {
        **{f"{name}_ms_a_word": found for name, found in best.items()},
        "rounds": rounds,
        "speedup_over_gensim": best["gensim"] / best["ours"],
        "speedup_over_argpartition": best["plain_argpartition"] / best["ours"],
    }


def _ms_a_word(work: Callable[[], object], words: int) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start) / words


def _gensim_loop(vectors: WordVectors, rows: np.ndarray, k: int) -> Callable[[], object]:
    """Gensim's own loop over words, on the same vectors."""
    from gensim.models import KeyedVectors

    model = KeyedVectors(vectors.dimensions, count=0)
    model.add_vectors(vectors.words(np.arange(len(vectors))), np.array(vectors.unit_rows))
    words = vectors.words(rows)
    model.most_similar(words[0], topn=k)  # computes the norms
    return lambda: [model.most_similar(word, topn=k) for word in words]


def _by_blocks(vectors: WordVectors, rows: np.ndarray, k: int | None, size: int = 128) -> None:
    """The bare product, and with k numpy's argpartition of whole rows after it."""
    scores = np.empty((size, len(vectors)), dtype=np.float32)
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        part = scores[: len(block)]
        np.matmul(vectors.unit_rows[block], vectors.unit_rows.T, out=part)
        if k is not None:
            best = np.argpartition(part, len(vectors) - k - 1, axis=1)[:, -k - 1 :]
            np.argsort(-np.take_along_axis(part, best, axis=1), axis=1)


def _gensim_text_seconds(source: str) -> float:
    from gensim.models import KeyedVectors

    start = time.perf_counter()
    KeyedVectors.load_word2vec_format(source, no_header=True)
    return time.perf_counter() - start


def _settings(vectors: WordVectors, arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "vectors": vectors.name,
        "fingerprint": vectors.fingerprint,
        "words": len(vectors),
        "dimensions": vectors.dimensions,
        "queries": min(arguments.queries, len(vectors)),
        "k": arguments.k,
        "gensim_sample": arguments.gensim_sample,
        "plain_and_product_sample": max(1, min(arguments.queries, len(vectors)) // 10),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or "all cores",
        "load_average": os.getloadavg()[0],
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "gensim": version("gensim"),
    }


def _show(report: dict[str, Any], arguments: argparse.Namespace) -> None:
    settings = report["settings"]
    table = Table(title=f"{settings['vectors']}: {settings['words']} × {settings['dimensions']}, top {arguments.k}")
    for column, justify in (("measured", "left"), ("", "right"), ("of", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    sampled = f"{settings['plain_and_product_sample']} words"
    table.add_row("gensim most_similar", f"{report['gensim_ms_a_word']:.3f} ms", f"{settings['gensim_sample']} words")
    table.add_row("product and argpartition", f"{report['plain_argpartition_ms_a_word']:.3f} ms", sampled)
    table.add_row("nearest_neighbours", f"{report['ours_ms_a_word']:.3f} ms", f"{settings['queries']} words")
    table.add_row("the product alone", f"{report['product_ms_a_word']:.3f} ms", sampled)
    table.add_row("faster than gensim", f"{report['speedup_over_gensim']:.1f} ×", "")
    table.add_row("first load", f"{report['first_load_s']:.2f} s", "empty cache, fresh process")
    table.add_row("warm load", f"{report['warm_load_s']:.3f} s", "fresh process")
    if "gensim_text_load_s" in report:
        table.add_row("gensim's text reader", f"{report['gensim_text_load_s']:.1f} s", "")
    Console().print(table)


if __name__ == "__main__":
    main()
