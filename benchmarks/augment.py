"""Finding candidates: ours beside the published way, a batched way and the bare encoder, in one run.

python benchmarks/augment.py --task sst2 --data GLUE/SST-2 --mlm MODEL --glove FILE --limit 150 --json out.json
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
import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForMaskedLM, AutoTokenizer

from augment.candidates import CandidateFinder
from augment.files.find import find_model
from augment.masked_lm import load_masked_lm
from augment.packed_linear import pack_linear_layers
from augment.presets import CandidateSettings
from benchmarks.baselines import BareEncoder, Batched, PlainText, Sequential, plain_texts
from glove import load_vectors
from pipelines.tasks import open_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from augment.candidate_table import Candidates
    from augment.masked_lm import MaskedLM
    from augment.words import Words

FLOOR_BATCHES = (512, 1024, 2048, 4096)
PACKED = "the same, our linear layers"


def main() -> None:
    """Measures and prints."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    Measured(arguments).report()


class Measured:
    """Everything that is compared, measured in turns so that a drift of the machine meets all alike.

    Args:
        arguments: of the command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        files = find_model(arguments.mlm)
        vectors = load_vectors(arguments.glove) if arguments.glove else None
        self._vectors = vectors
        device = arguments.device
        self._model = load_masked_lm(files, device)
        self._finder = self._new_finder(self._model)
        self.texts = _texts(arguments)
        words = self._model.splitter.split(self.texts)
        self._worded = plain_texts(words)
        plain, packed = (plain_model(files.folder, device) for _ in range(2))
        published, without = (plain_model(files.folder, device, "eager") for _ in range(2))  # with, without gradients
        tokenizer = AutoTokenizer.from_pretrained(files.folder)
        self._sequential = {
            "published": Sequential(published, tokenizer, vectors),
            "published, no gradients": Sequential(without, tokenizer, vectors, gradients=False),
        }
        special = (self._model.cls_id, self._model.sep_id, self._model.mask_id)
        self._batched = Batched(plain, special)
        lines = copies(self._finder, words, special)
        self._floors = {size: BareEncoder(plain.base_model, lines, size) for size in FLOOR_BATCHES}
        if device == "cpu":
            pack_linear_layers(packed)
        self._packed_floor = BareEncoder(packed.base_model, lines, arguments.batch_tokens)
        bf16 = device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self._half = load_masked_lm(files, device, "bf16") if bf16 else None

    def _new_finder(self, model: MaskedLM, spacing: int = 0) -> CandidateFinder:
        """A finder that remembers nothing: each round looks its multi-piece words up anew, as the others do."""
        settings = CandidateSettings(mask_spacing=spacing)
        return CandidateFinder(model, self._vectors, settings, self._arguments.batch_tokens)

    def report(self) -> None:
        """Runs the rounds, prints the table and writes the JSON."""
        few = spread(self._worded, self._arguments.sequential_limit)
        runs: dict[str, Callable[[], Any]] = {
            **{name: lambda way=way: way.run(few) for name, way in self._sequential.items()},
            "batched": lambda: self._batched.run(self._worded),
            "ours": lambda: self._new_finder(self._model).find(self.texts),
            "ours, mask spacing 8": lambda: self._new_finder(self._model, 8).find(self.texts),
            **{f"bare encoder, {size} tokens": floor.run for size, floor in self._floors.items()},
            PACKED: self._packed_floor.run,
        }
        if (half := self._half) is not None:
            runs["ours, bf16"] = lambda: self._new_finder(half).find(self.texts)
        results, seconds = _rounds(runs, self._arguments.rounds)
        found: Candidates = results["ours"]
        words, tokens = found.counts["masked_words"], found.counts["mlm_tokens"]
        rates = {"published": results["published"][0], "published, no gradients": results["published, no gradients"][0]}
        rates.update({name: words for name in runs if name not in rates})
        speeds = {name: rates[name] / seconds[name] for name in runs}
        floor = max(speeds[name] for name in runs if name.startswith("bare"))
        content = {
            "speedup_per_masked_word": speeds["ours"] / speeds["published"],
            "speedup_per_masked_word_without_gradients": speeds["ours"] / speeds["published, no gradients"],
            "speedup_over_batched": speeds["ours"] / speeds["batched"],
            "fraction_of_floor": speeds["ours"] / floor,
            "fraction_of_packed_floor": speeds["ours"] / speeds[PACKED],
            "mask_spacing_8": {
                "speedup": speeds["ours, mask spacing 8"] / speeds["ours"],
                "top_20_overlap": overlap(found, results["ours, mask spacing 8"]),
            },
            "masked_words_per_second": speeds,
            "tokens_per_second": tokens / seconds["ours"],
            "masked_words": words,
            "mlm_tokens": tokens,
            "texts": len(self.texts),
            **_machine(self._arguments),
        }
        if self._half is not None:
            content["bf16"] = {
                "speedup": speeds["ours, bf16"] / speeds["ours"],
                "top_20_overlap": overlap(found, results["ours, bf16"]),
            }
        _print(content, len(few))
        if self._arguments.json:
            self._arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def plain_model(folder: str | Path, device: str, attention: str = "sdpa") -> Any:
    """A masked LM as transformers loads it, in fp32."""
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
    return model.eval().to(device)


def overlap(exact: Candidates, other: Candidates) -> float:
    """Mean share of a masked word's candidates that two tables have in common."""
    shares = []
    for word in np.flatnonzero(exact.sources == 0):
        names = {spelling for spelling, _ in exact.of_word(word)}
        if names:
            shares.append(len(names & {spelling for spelling, _ in other.of_word(word)}) / len(names))
    return float(np.mean(shares))


def _rounds(runs: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, Any], dict[str, float]]:
    """Results, and each way's best time over some rounds in which the ways take turns."""
    results: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            results[name] = run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name] = min(seconds.get(name, np.inf), time.perf_counter() - start)
    return results, seconds


def copies(finder: CandidateFinder, words: Words, special: tuple[int, int, int]) -> list[list[int]]:
    """Token ids of a copy of its text for each word of one piece; nothing is masked, which costs the same."""
    cls, sep, _ = special
    free = finder.free(words)
    texts = words.texts_of(free[words.single_piece[free]]).tolist()
    return [[cls, *words.rows.row(text), sep] for text in texts]


def _texts(arguments: argparse.Namespace) -> list[str]:
    """A sample of the train part's texts (its dev part's where it has none), the same each time."""
    opened = open_task(arguments.task, arguments.data)
    part = "train" if "train" in opened.parts else opened.held_out()[0]
    texts: list[str] = []
    for batch in opened.split(part).batches():
        for column in opened.task.text_columns:
            texts += batch.column(column).to_pylist()
    chosen = np.random.default_rng(arguments.seed).permutation(len(texts))[: arguments.limit]
    return [texts[row] for row in chosen]


def spread(texts: list[PlainText], limit: int) -> list[PlainText]:
    """A few texts whose lengths are spread as those of all are: the published way's rate falls with the length."""
    by_length, limit = sorted(texts, key=lambda text: len(text.ids)), min(limit, len(texts))
    return [by_length[(2 * number + 1) * len(texts) // (2 * limit)] for number in range(limit)]


def _machine(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "device": arguments.device,
        "threads": arguments.threads,
        "batch_tokens": arguments.batch_tokens,
        "rounds": arguments.rounds,
        "task": arguments.task,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }


def _print(content: dict[str, Any], few: int) -> None:
    console = Console(highlight=False)
    table = Table(title=f"{content['texts']} texts, {content['masked_words']:,} masked words, best of rounds")
    for column in ("way", "masked words/s", "ours is faster by"):
        table.add_column(column, justify="left" if column == "way" else "right")
    ours = content["masked_words_per_second"]["ours"]
    for name, speed in content["masked_words_per_second"].items():
        table.add_row(name, f"{speed:,.1f}", f"{ours / speed:.2f}x")
    console.print(table)
    console.print(f"the published way ran over {few} of the texts, of all lengths; rates are per masked word")
    for name in ("speedup_per_masked_word", "speedup_over_batched", "fraction_of_floor", "fraction_of_packed_floor"):
        console.print(f"{name}: {content[name]:.2f}")
    for name in ("mask_spacing_8", "bf16"):
        if name in content:
            console.print(f"{name}: {content[name]['speedup']:.2f}x, overlap {content[name]['top_20_overlap']:.3f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--mlm", default="bert-base-uncased")
    parser.add_argument("--glove")
    parser.add_argument("--limit", type=int, default=150, help="texts")
    parser.add_argument("--sequential-limit", type=int, default=75, help="texts for the published way, of all lengths")
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
