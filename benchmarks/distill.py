"""The intermediate stage: ours, cold and with a full cache, beside the published loop, in one run.

python benchmarks/distill.py --train runs/sst2/augmented --json distill.json
python benchmarks/distill.py --train runs/sst2/augmented --memory 1400000

The teacher has BERT-base's size, the student 4 layers of 312 features, both random weights. Ours is the library's
own path: `ShardStream` with its worker, `Targets`, `train`; cold is the teacher's pass and writing the cache (from the
first batch asked for until its shards are complete), warm is reading it. The cache of a sample lies in the page cache.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent  # run as a file, this folder's modules would hide the packages
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]

# The loader's worker imports this file anew: what is heavy is imported by the functions that need it.

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from distill.reading import Columns
    from distill.shards import StreamSettings


def main() -> None:
    """Measures, prints and writes the JSON."""
    arguments = _arguments()
    from tokenizers import Tokenizer

    from distill.reading import Columns
    from distill.shards import StreamSettings

    tokenizer = Tokenizer.from_file(str(arguments.tokenizer / "tokenizer.json"))
    settings = StreamSettings(arguments.max_length, arguments.batch_rows, seed=arguments.seed)
    columns = Columns(tuple(arguments.text))
    if arguments.memory:
        from benchmarks.distill_loader import memory_over

        content = memory_over(arguments.train, columns, tokenizer, settings, arguments.memory)
        print(json.dumps(content, indent=1))
    else:
        import torch

        torch.set_num_threads(arguments.threads)
        with tempfile.TemporaryDirectory(prefix="distill-benchmark-") as folder:
            content = Measured(arguments, Path(folder), columns, tokenizer, settings).content()
        _print(content)
    if arguments.json:
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


class Measured:
    """Everything that is compared, measured in turns so that a drift of the machine meets all alike.

    Args:
        arguments: of the command line.
        folder: for the sample, caches and checkpoints.
        columns: of texts.
        tokenizer: of both models.
        settings: of the stream.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        folder: Path,
        columns: Columns,
        tokenizer: Tokenizer,
        settings: StreamSettings,
    ) -> None:
        from benchmarks.distill_baseline import Published
        from benchmarks.distill_loader import loader
        from benchmarks.distill_ways import Clocked, Ours, padded_inputs, random_student, random_teacher, write_sample
        from distill.teacher import Precision
        from distill.training_settings import TrainSettings

        self._arguments = arguments
        self._full = loader(arguments.train, columns, tokenizer, settings)
        (folder / "sample").mkdir()
        write_sample(arguments.train, columns, tokenizer, settings, arguments.steps, folder / "sample")
        small = loader(folder / "sample", columns, tokenizer, settings)
        stream = Clocked(small.files, columns, small.tokenizer_json, small.pad_id, settings)
        teacher = random_teacher(tokenizer.get_vocab_size(), arguments.seed).to(arguments.device)
        student, layers = random_student(teacher, arguments.seed)
        training = TrainSettings(1, 5e-5, precision=Precision(arguments.precision), cpu=arguments.device == "cpu")
        parts = teacher, student.model, student.projections
        others: list[Any] = [copy.deepcopy(part).to(arguments.device) for part in parts]
        self.ours = Ours(teacher, student, layers, stream, training, folder)
        self.published = Published(others[0], others[1], others[2], layers, training)
        self._batches = self.ours.batches()
        self._inputs, _ = padded_inputs(self._batches, teacher, settings.max_length, arguments.seed)

    def content(self) -> dict[str, Any]:
        """Runs everything; what the JSON holds."""
        import numpy as np

        from benchmarks.distill_bounds import Arithmetic, bounds, cache_theory
        from benchmarks.distill_loader import later_rate, loader_rate, peak_bytes
        from benchmarks.distill_measure import machine, take_turns

        load = os.getloadavg()
        seconds, all_rates, memory = take_turns(self._runs(), self._arguments.rounds)
        all_rates.pop("optimiser")
        lengths = np.concatenate([batch.mask.sum(1) for batch in self._batches])
        teacher = self.ours.teacher.model.config
        configs = Arithmetic(teacher, self.ours.stage.model.config)
        reached = bounds(configs, seconds, lengths, self._arguments.max_length)
        loading = loader_rate(self._full, self._arguments.loader_rows)
        theory = cache_theory(lengths, len(self.ours.teacher.layer_map), teacher)
        rates = {way: 1 / seconds[way] for way in ("baseline", "cold", "warm")}
        found = {
            "speedup_cold": seconds["baseline"] / seconds["cold"],
            "speedup_warm": seconds["baseline"] / seconds["warm"],
            "bound_cold": reached.pop("bound_cold"),
            "bound_warm": reached.pop("bound_warm"),
            "examples_per_second": rates,
            "rounds_examples_per_second": all_rates,
            "gflop_per_second": {way: reached["mflop_per_example"][way] * rate / 1e3 for way, rate in rates.items()},
            **reached,
            "optimiser_ms_a_step": 1000 * seconds["optimiser"] * self._arguments.batch_rows,
            "mean_length": float(lengths.mean()),
            "padding_share": 1 - float(lengths.sum()) / sum(batch.ids.size for batch in self._batches),
            "baseline_padding_share": 1 - float(lengths.mean()) / self._arguments.max_length,
            "cache_bytes_per_example": {"written": self.ours.cache_bytes(), "theory": theory},
            "loader": {
                "examples_per_second": loading,
                "later_epochs": later_rate(self._full, self._arguments.loader_rows),
                "over_cold": loading / rates["cold"],
                "over_warm": loading / rates["warm"],
            },
            "loss": self._equality(),
            "phases_ms": self.ours.phases(),
            "peak_rss": peak_bytes(),
            **({"peak_device_memory": memory} if memory else {}),
            "load_average": {"before": load, "after": os.getloadavg()},
            **machine(self._arguments),
        }
        self.ours.stream.close()
        return found

    def _runs(self) -> dict[str, Any]:
        from benchmarks.distill_measure import baseline_seconds, warm_seconds
        from benchmarks.distill_ways import optimiser_seconds

        rows, steps = self._arguments.batch_rows, self._arguments.baseline_steps

        def cold() -> float:
            self.ours.new_cache()
            return self.ours.epoch() / len(self.ours.stream)

        return {
            "baseline": lambda: baseline_seconds(self.published, self._inputs, rows, steps),
            "cold": cold,
            "warm": lambda: warm_seconds(self.ours),
            "optimiser": lambda: optimiser_seconds(self.ours, self._batches[0]) / rows,
        }

    def _equality(self) -> dict[str, float]:
        from benchmarks.distill_measure import equality

        few = sorted(self._batches, key=lambda batch: batch.ids.shape[1])
        few = [few[0], few[len(few) // 2], few[-1]][: len(few)]
        settings = self._arguments
        return equality(self.ours, self.published, few, settings.max_length, settings.batch_rows, settings.seed)


def _print(content: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from benchmarks.distill_measure import loss_words

    console = Console(highlight=False)
    title = (
        f"intermediate stage, {content['device']}, {content['precision']}, batch {content['batch_rows']}, best round of"
    )
    table = Table(title=f"{title} {len(content['rounds_examples_per_second']['cold'])}")
    for column in ("way", "examples/s", "GFLOP/s", "speedup", "bound"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for way, rate in content["examples_per_second"].items():
        gain = [f"{content[f'{name}_{way}']:.2f}x" if way != "baseline" else "" for name in ("speedup", "bound")]
        table.add_row(way, f"{rate:,.1f}", f"{content['gflop_per_second'][way]:,.0f}", *gain)
    console.print(table)
    cache, loader, loss = (content[name] for name in ("cache_bytes_per_example", "loader", "loss"))
    console.print(f"mean length {content['mean_length']:.1f} tokens; padding {content['padding_share']:.1%} of ours")
    console.print(f"cache {cache['written']:,.0f} bytes an example, by count {cache['theory']:,.0f}")
    console.print(
        f"loader alone {loader['examples_per_second']:,.0f} examples/s: {loader['over_cold']:.0f}x what cold steps "
        f"need, {loader['over_warm']:.0f}x warm ones; later epochs {loader['later_epochs']:,.0f} examples/s"
    )
    console.print(loss_words(loss))
    console.print("ms of a step: " + ", ".join(f"{name} {spent:.1f}" for name, spent in content["phases_ms"].items()))
    console.print(f"AdamW and clipping alone {content['optimiser_ms_a_step']:.1f} ms a step")
    console.print(f"peak memory {content['peak_rss'] / 1e9:.2f} GB; load {content['load_average']['after'][0]:.1f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="folder of Parquet shards, or a run's augmented/")
    parser.add_argument("--text", nargs="+", default=["sentence"], help="text columns")
    parser.add_argument("--tokenizer", type=Path, default=ROOT / "pipelines" / "demo" / "mlm", help="folder")
    parser.add_argument("--steps", type=int, default=48, help="steps of ours an epoch; a sample as large is drawn")
    parser.add_argument("--baseline-steps", type=int, default=3, help="each costs the same, it is always padded")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-rows", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    parser.add_argument("--loader-rows", type=int, default=200_000, help="that the loader alone is timed over")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=int, metavar="ROWS", help="only stream as many rows and report memory")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if (arguments.train / "data").is_dir():
        arguments.train /= "data"
    return arguments


if __name__ == "__main__":
    main()
