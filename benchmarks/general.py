"""General distillation: ours, without and from a teacher cache, beside a plain loop, over the same text, in one run.

python benchmarks/general.py --corpus corpus.txt --json general.json
python benchmarks/general.py --corpus corpus.txt --teacher FOLDER --mlm-weight 1

The plain loop has a sentence a row, padded to the maximum length, eager attention, the scores of all layers, both
models in every step. A step of it costs the same whatever its rows hold, so its rate with rows as full as the authors'
pregenerate_training_data.py makes them follows by count: `filled`. Ours is the library's own path: the packed corpus,
`ShardStream`, `GeneralStage`, `train`. Rates are of real tokens, padding not counted. Cold has no cache, filling
writes one, warm reads it; the cache of a sample lies in the page cache.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent  # run as a file, this folder's modules would hide the packages
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]

# The loader's worker imports this file anew: what is heavy is imported by the functions that need it.

if TYPE_CHECKING:
    from numpy.typing import NDArray

WAYS = ("baseline", "filled", "cold", "filling", "warm")
FEW_ROWS = 4  # a batch's share of rows that losses are compared on is one over it


def main() -> None:
    """Measures, prints and writes the JSON."""
    arguments = _arguments()
    import torch

    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory(prefix="general-benchmark-") as folder:
        content = Measured(arguments, Path(folder)).content()
    _print(content)
    if arguments.json:
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


class Measured:
    """Everything that is compared, measured in turns so that a drift of the machine meets all alike.

    Args:
        arguments: of the command line.
        folder: for the packed corpus, the sample, caches and checkpoints.
    """

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        from transformers import AutoTokenizer

        from distill.general import MaskedLmLoss
        from distill.masking import MaskSettings
        from distill.shards import StreamSettings
        from distill.teacher import Precision
        from distill.training_settings import TrainSettings

        self._arguments = arguments
        self._tokenizer: Any = AutoTokenizer.from_pretrained(arguments.teacher or arguments.tokenizer)
        masking = MaskSettings(static=True) if arguments.mlm_weight else None
        self._settings = StreamSettings(
            arguments.max_length, arguments.batch_rows, seed=arguments.seed, workers=0, masking=masking
        )
        self._masked_lm = MaskedLmLoss(arguments.mlm_weight)
        self._training = TrainSettings(1, 1e-4, precision=Precision(arguments.precision), cpu=arguments.device == "cpu")
        self._pack(folder)
        self._load(folder)
        self._read()

    def _pack(self, folder: Path) -> None:
        """The beginning of the corpus as the product packs it, and a sample with the lengths of the whole."""
        from benchmarks.distill_ways import write_sample
        from distill.reading import Columns
        from pipelines.corpus.files import open_files
        from pipelines.corpus.packed import COLUMNS, FOLDER, PackedShape, pack_corpus
        from pipelines.reporting import Silent
        from pipelines.run_folder.storage import Storage

        arguments = self._arguments
        self._corpus = open_files(arguments.corpus, "text")
        storage = Storage(str(folder))
        shape = PackedShape(arguments.max_length, arguments.pairs, arguments.sequences)
        began = time.perf_counter()
        self._packed = pack_corpus(storage, self._corpus, self._tokenizer, shape, Silent())
        self._packing_rate = self._packed.tokens / (time.perf_counter() - began)
        if self._packed.sequences < arguments.batch_rows:
            sys.exit(f"expected {arguments.batch_rows} sequences or more, found {self._packed.sequences}: more text")
        self._columns = Columns(COLUMNS, tokenised=True)
        (folder / "sample").mkdir()
        backend, steps = self._tokenizer.backend_tokenizer, arguments.steps
        write_sample(folder / FOLDER, self._columns, backend, self._settings, steps, folder / "sample")

    def _load(self, folder: Path) -> None:
        """The same models for both ways."""
        from benchmarks.distill_baseline import Published
        from benchmarks.distill_loader import loader
        from benchmarks.distill_ways import Clocked, Ours, random_student

        arguments = self._arguments
        teacher = _teacher(arguments, len(self._tokenizer)).to(arguments.device)
        student, layers = random_student(teacher, arguments.seed, arguments.student, masked_lm=True)
        # Without a masked-LM loss no head runs, in the authors' code as in ours.
        theirs = student.model if self._masked_lm.on else student.model.base_model
        parts = teacher.base_model, theirs, student.projections
        others: list[Any] = [copy.deepcopy(part).to(arguments.device) for part in parts]
        sample = loader(folder / "sample", self._columns, self._tokenizer.backend_tokenizer, self._settings)
        stream = Clocked(sample.files, self._columns, sample.tokenizer_json, sample.pad_id, self._settings)
        self.ours = Ours(teacher, student, layers, stream, self._training, folder, self._masked_lm)
        self.published = Published(others[0], others[1], others[2], layers, self._training, self._masked_lm.weight)

    def _read(self) -> None:
        """The plain loop's rows, and the lengths of all ways' rows."""
        import numpy as np

        from benchmarks.distill_ways import padded_inputs
        from benchmarks.general_text import documents, filled_lengths, sentence_batch, sentence_lengths
        from distill.masking import Masker

        arguments, longest, masking = self._arguments, self._arguments.max_length, self._settings.masking
        json_of = self._tokenizer.backend_tokenizer.to_str()
        special = 2 * self._packed.sequences + self._packed.pairs
        texts = documents(self._corpus, json_of, self._packed.tokens - special)
        rows = sentence_batch(
            texts, self._tokenizer, arguments.batch_rows * arguments.baseline_steps, longest, arguments.seed
        )
        if masking:
            rows = Masker(masking, json_of, arguments.seed)(rows, 0)
        self._inputs, _ = padded_inputs([rows], self.ours.teacher.model, longest, arguments.seed)
        self._batches = self.ours.batches()
        self._lengths: NDArray[np.int64] = np.concatenate([batch.mask.sum(1) for batch in self._batches])
        self._tokens = {
            "baseline": float(sentence_lengths(texts, longest).mean()),
            "filled": float(filled_lengths(texts, longest, arguments.seed).mean()),
            **dict.fromkeys(("cold", "filling", "warm"), float(self._lengths.mean())),
        }

    def content(self) -> dict[str, Any]:
        """Runs everything; what the JSON holds."""
        from benchmarks.distill_loader import peak_bytes
        from benchmarks.distill_measure import equality, machine, take_turns

        load, arguments = os.getloadavg(), self._arguments
        seconds, rows, memory = take_turns(self._runs(), arguments.rounds)
        rows["filled"] = rows["baseline"]
        tokens = {way: [rate * self._tokens[way] for rate in rows[way]] for way in WAYS}
        best = {way: max(rates) for way, rates in tokens.items()}
        few = sorted(self._batches, key=lambda batch: batch.ids.shape[1])
        few = [batch.part(0, FEW_ROWS) for batch in (few[0], few[len(few) // 2], few[-1])]
        found = {
            **self._over("baseline", best, seconds),
            "filled": self._over("filled", best, seconds),
            "tokens_per_second": best,
            "rounds_tokens_per_second": tokens,
            "sequences_per_second": {way: max(rows[way]) for way in WAYS},
            "tokens_per_sequence": self._tokens,
            "padding_share": {way: 1 - self._tokens[way] / arguments.max_length for way in ("baseline", "filled")}
            | {"ours": 1 - float(self._lengths.sum()) / sum(batch.ids.size for batch in self._batches)},
            "packing_tokens_per_second": self._packing_rate,
            "packed_sequences": self._packed.sequences,
            "packed_pairs": self._packed.pairs,
            "cache_bytes_per_sequence": self.ours.cache_bytes(),
            "optimiser_ms_a_step": 1000 * seconds["optimiser"] * arguments.batch_rows,
            "loss": equality(self.ours, self.published, few, arguments.max_length, arguments.batch_rows, 0),
            "phases_ms": self.ours.phases(),
            "peak_rss": peak_bytes(),
            **({"peak_device_memory": memory} if memory else {}),
            "load_average": {"before": load, "after": os.getloadavg()},
            "teacher": arguments.teacher or "random, BERT-base's size",
            "student": arguments.student,
            "mlm_weight": arguments.mlm_weight,
            **machine(arguments),
        }
        self.ours.stream.close()
        return found

    def _runs(self) -> dict[str, Any]:
        from benchmarks.distill_measure import baseline_seconds, warm_seconds
        from benchmarks.distill_ways import optimiser_seconds

        arguments, sequences = self._arguments, len(self.ours.stream)
        rows, steps = arguments.batch_rows, arguments.baseline_steps

        def filling() -> float:
            self.ours.new_cache()
            return self.ours.epoch() / sequences

        return {
            "baseline": lambda: baseline_seconds(self.published, self._inputs, rows, steps),
            "cold": lambda: self.ours.epoch(cache=False) / sequences,
            "filling": filling,
            "warm": lambda: warm_seconds(self.ours),
            "optimiser": lambda: optimiser_seconds(self.ours, self._batches[0]) / rows,
        }

    def _over(self, plain: str, best: dict[str, float], seconds: dict[str, float]) -> dict[str, Any]:
        """Speedups over the plain loop with its rows so filled, and their bounds."""
        import numpy as np

        from benchmarks.distill_bounds import Arithmetic, bounds, masked_lm_head
        from distill.masking import UNMASKED

        student, heads = self.ours.stage.model.config, (0.0, 0.0)
        if self._masked_lm.on:
            guessed = sum(np.count_nonzero(batch.labels != UNMASKED) for batch in self._batches) / len(self._lengths)
            heads = masked_lm_head(student, self._arguments.max_length), masked_lm_head(student, guessed)
        arithmetic = Arithmetic(self.ours.teacher.model.config, student)
        reached = bounds(arithmetic, seconds, self._lengths, self._arguments.max_length, heads)
        more = self._tokens["cold"] / self._tokens[plain]  # real tokens of an example of ours to one of the baseline
        three = 3 / (1 / best["filling"] + 2 / best["warm"])
        return {
            **{f"speedup_{way}": best[way] / best[plain] for way in ("cold", "filling", "warm")},
            "speedup_three_epochs": three / best[plain],
            **{f"bound_{way}": reached[f"bound_{way}"] * more for way in ("cold", "warm")},
            "bound_padding": self._arguments.max_length / self._tokens[plain],
            "mflop_per_token": {
                way: flop / self._tokens[plain if way == "baseline" else way]
                for way, flop in reached["mflop_per_example"].items()
            },
        }


def _teacher(arguments: argparse.Namespace, vocabulary: int) -> Any:
    """The masked LM in a folder, or a random one of BERT-base's size: drawn weights take as long as trained ones."""
    import torch
    from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

    if arguments.teacher:
        return AutoModelForMaskedLM.from_pretrained(arguments.teacher, dtype=torch.float32).eval()
    torch.manual_seed(arguments.seed)
    return BertForMaskedLM(BertConfig(vocab_size=vocabulary)).eval()


def _print(content: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from benchmarks.distill_measure import loss_words

    console = Console(highlight=False)
    title = f"general distillation, {content['device']}, {content['precision']}, batch {content['batch_rows']}"
    table = Table(title=f"{title}, best round of {content['rounds']}")
    for column in ("way", "tokens/s", "rows/s", "tokens a row", "speedup", "bound", "over filled", "bound"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for way in WAYS:
        gains = [content.get(f"{name}_{way}") for name in ("speedup", "bound")]
        gains += [content["filled"].get(f"{name}_{way}") for name in ("speedup", "bound")]
        values = content["tokens_per_second"][way], content["sequences_per_second"][way]
        shown = [f"{values[0]:,.0f}", f"{values[1]:,.1f}", f"{content['tokens_per_sequence'][way]:.1f}"]
        table.add_row(way, *shown, *("" if gain is None else f"{gain:.2f}x" for gain in gains))
    console.print(table)
    console.print(
        f"three epochs, the first filling the cache: {content['speedup_three_epochs']:.2f}x, over filled rows "
        f"{content['filled']['speedup_three_epochs']:.2f}x; the cache takes "
        f"{content['cache_bytes_per_sequence'] / 1e6:.2f} MB a sequence"
    )
    padding = ", ".join(f"{share:.1%} of {name}" for name, share in content["padding_share"].items())
    console.print(f"padding: {padding}; packing alone {content['packing_tokens_per_second']:,.0f} tokens/s")
    console.print(loss_words(content["loss"]))
    console.print("ms of a step: " + ", ".join(f"{name} {spent:.1f}" for name, spent in content["phases_ms"].items()))
    console.print(f"AdamW and clipping alone {content['optimiser_ms_a_step']:.1f} ms a step")
    console.print(f"peak memory {content['peak_rss'] / 1e9:.2f} GB; load {content['load_average']['after'][0]:.1f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="text, a sentence a line, or what the product reads")
    parser.add_argument("--teacher", help="folder of a masked LM; without, random weights of BERT-base's size")
    parser.add_argument("--student", default="tinybert4", help="tinybert4, tinybert6, half or a config.json")
    parser.add_argument("--tokenizer", default=str(ROOT / "pipelines" / "demo" / "mlm"), help="of a random teacher")
    parser.add_argument("--sequences", type=int, default=4096, help="of the corpus's beginning that a sample is of")
    parser.add_argument("--pairs", type=float, default=0.5, help="share of the packed sequences that are pairs")
    parser.add_argument("--steps", type=int, default=8, help="steps of ours an epoch; a sample as large is drawn")
    parser.add_argument("--baseline-steps", type=int, default=2, help="each costs the same, it is always padded")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", dest="batch_rows", type=int, default=32, help="rows of a step, in all ways")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--mlm-weight", type=float, default=0.0, help="of a masked-LM loss, in all ways")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
