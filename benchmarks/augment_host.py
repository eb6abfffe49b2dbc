"""Host time of finding candidates: everything but the masked LM, which is replaced by one that costs nothing.

python benchmarks/augment_host.py --task sst2 --data GLUE/SST-2 --mlm MODEL --glove FILE --limit 8000

Encoder and head give constant answers, so that what is left is the host's own: the CPU time of each of the three steps
(`CandidateFinder.prepare`, `propose`, `assemble`), which a worker with a GPU takes in threads of their own, and of the
Arrow table. The tokenizer's share is Rust's, which holds no lock of Python's. GloVe's neighbours are looked up before.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent  # run as a file, this folder's modules would hide the packages
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]

import torch

from augment.candidate_table import to_arrow
from augment.candidates import CandidateFinder
from augment.files.find import find_model
from augment.layouts import Layout
from augment.masked_lm import load_masked_lm
from augment.presets import CandidateSettings
from benchmarks.gpu_parts import read_texts
from glove import load_vectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from augment.masked_lm import MaskedLM


def main() -> None:
    """Measures and prints."""
    arguments = _arguments()
    torch.set_num_threads(1)
    texts = read_texts(arguments.task, arguments.data, arguments.limit)
    model = load_masked_lm(find_model(arguments.mlm), "cpu")
    vectors = load_vectors(arguments.glove) if arguments.glove else None
    for layout in (Layout.PACKED, Layout.EIGHTS):
        model.layout = layout
        without_model(model, arguments.batch_tokens)
        finder = CandidateFinder(model, vectors, CandidateSettings(), arguments.batch_tokens, 1)
        words = finder.find(texts).counts["masked_words"]
        gc.collect()
        gc.freeze()
        best: dict[str, float] = {}
        for _ in range(arguments.rounds):
            for name, seconds in _steps(finder, texts).items():
                best[name] = min(best.get(name, seconds), seconds)
        told = ", ".join(f"{name} {seconds / words * 1e6:.2f}" for name, seconds in best.items())
        total = sum(seconds for name, seconds in best.items() if name != "of which the tokenizer")
        print(
            f"{layout.value}: {words:,} masked words; µs of CPU time each: {told}; together {total / words * 1e6:.2f}"
        )


def without_model(model: MaskedLM, tokens: int) -> None:
    """Replaces the masked LM by constants; batches are laid out, here by the host, as a GPU does it by itself."""
    answers = torch.zeros((tokens, 2 * 20 + 1), dtype=torch.int32)
    answers[:, :20] = torch.arange(2000, 2020, dtype=torch.int32)
    answers[:, 20:40] = torch.full((tokens, 20), 0.01).view(torch.int32)
    found: Any = answers.numpy()

    class Constant:
        def taken(self, count: int) -> Any:
            rows = found[:count]
            return rows[:, :20], rows[:, 20:40].copy().view("float32")

    model.start = lambda _batch, _k: Constant()  # type: ignore[method-assign, assignment, return-value]


def _steps(finder: CandidateFinder, texts: list[str]) -> dict[str, float]:
    """Seconds of CPU time that each step takes."""
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        made = work()
        seconds[name] = time.process_time() - start
        return made

    asked = timed("prepare", lambda: finder.prepare(texts))
    backend = finder.model.splitter._backend
    timed("of which the tokenizer", lambda: backend.encode_batch(texts, add_special_tokens=False))
    proposals = timed("propose", lambda: finder.propose(asked))
    table = timed("assemble", lambda: finder.assemble(asked, proposals))
    timed("Arrow", lambda: to_arrow(table, [bytes(16)] * len(texts)))
    return seconds


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--mlm", default="bert-base-uncased")
    parser.add_argument("--glove")
    parser.add_argument("--limit", type=int, default=8000, help="texts")
    parser.add_argument("--batch-tokens", type=int, default=65_536)
    parser.add_argument("--rounds", type=int, default=4)
    return parser.parse_args()


if __name__ == "__main__":
    main()
