"""Distillation on a GPU: the published loop, the intermediate stage cold and warm, the prediction stage."""

from __future__ import annotations

import copy
import time
from itertools import product
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from benchmarks.distill_baseline import Published
from benchmarks.distill_floor import step_floor
from benchmarks.distill_loader import later_rate, loader, loader_rate
from benchmarks.distill_measure import baseline_seconds, warm_seconds
from benchmarks.distill_ways import Clocked, Ours, padded_inputs, random_student, write_sample
from benchmarks.gpu_parts import SHAPES, about, peak_memory, profiled, read_texts
from distill.losses import LossSettings
from distill.objectives import PredictionStage
from distill.precision import Precision
from distill.reading import Columns
from distill.shards import StreamSettings
from distill.training_settings import TrainSettings

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from benchmarks.gpu_parts import Results

COLUMNS, MOST_TOKENS = Columns(("text",)), 64
BATCH_ROWS = (32, 256)
PROFILED_STEPS = 8
FLOOR_STEPS = 50
NEITHER = {"graphs": False, "teacher_group": 1}
WITHOUT: dict[str, dict[str, Any]] = {
    "all": {},
    "no graphs": {"graphs": False},
    "teacher in each step": {"teacher_group": 1},
    "no graphs, teacher in each step": NEITHER,
}


def measure(arguments: argparse.Namespace, results: Results, folder: Path) -> None:
    """Runs the section: bf16 before fp32, batches of 32 before those of 256, so that the usual case is there first."""
    results.content |= about(arguments.device, arguments.shape)
    train = folder / "train"
    train.mkdir()
    texts = read_texts(arguments.task, arguments.data, arguments.texts)
    pq.write_table(pa.table({"text": texts}), train / "train.parquet")
    began = time.perf_counter()
    for rows, precision in product(BATCH_ROWS, ("bf16", "fp32")):
        if time.perf_counter() - began > arguments.seconds:
            results.put("left_out", f"{precision}, batch {rows}", found="the seconds were over")
            continue
        place = folder / f"{precision}-{rows}"
        place.mkdir()
        Section(arguments, results, train, place, precision, rows).run()


class Section:
    """One precision and batch size.

    Args:
        arguments: of the command line.
        results: where numbers go.
        train: folder of the texts.
        folder: for sample, caches and checkpoints.
        precision: of all ways.
        rows: of a step.
    """

    def __init__(
        self, arguments: argparse.Namespace, results: Results, train: Path, folder: Path, precision: str, rows: int
    ) -> None:
        self.device, self.results, self.rows = arguments.device, results, rows
        self.name = f"{precision}, batch {rows}"
        self.steps = max(2, int(arguments.steps * min(1.0, 64 / rows)))
        tokenizer = AutoTokenizer.from_pretrained(arguments.mlm).backend_tokenizer
        settings = StreamSettings(MOST_TOKENS, rows, seed=0)
        (folder / "sample").mkdir()
        write_sample(train, COLUMNS, tokenizer, settings, self.steps, folder / "sample")
        small = loader(folder / "sample", COLUMNS, tokenizer, settings)
        self.stream = Clocked(small.files, COLUMNS, small.tokenizer_json, small.pad_id, settings)
        torch.manual_seed(0)
        shape = SHAPES[arguments.shape].config(tokenizer.get_vocab_size())
        teacher: Any = BertForSequenceClassification(shape).eval().to(self.device)
        student, layers = random_student(teacher, 0)
        training = TrainSettings(1, 5e-5, precision=Precision(precision), cpu=self.device == "cpu")
        parts = (teacher, student.model, student.projections)
        others: list[Any] = [copy.deepcopy(part).to(self.device) for part in parts]
        self.later = copy.deepcopy(student)
        self.ours = Ours(teacher, student, layers, self.stream, training, folder)
        self.published = Published(others[0], others[1], others[2], layers, training)
        self.inputs, _ = padded_inputs(self.ours.batches(), teacher, MOST_TOKENS, 0)

    def run(self) -> None:
        """Each way twice, the first time to warm up; examples a second, kernels of a step."""
        peak_memory(self.device)
        self._rate("published", self._published())
        self._cold()
        self._rate("cold", 1 / min(self._cold() for _ in range(2)))
        self._rate("warm", 1 / warm_seconds(self.ours))
        self._switched_off()
        self._prediction()
        self._rate("loader alone", loader_rate(self.stream, len(self.stream)))
        self._rate("loader alone, later epochs", later_rate(self.stream, len(self.stream)))
        self._put("phases_ms", found=self.ours.phases())
        self._profiles()
        self.stream.close()

    def _published(self) -> float:
        """Examples a second, over as many steps as ours have."""
        baseline_seconds(self.published, self.inputs, self.rows, 2)
        return 1 / baseline_seconds(self.published, self.inputs, self.rows, self.steps)

    def _cold(self) -> float:
        self.ours.new_cache()
        return self.ours.epoch() / len(self.stream)

    def _switched_off(self) -> None:
        """The intermediate stage without a cache: as it is, and without each of its parts."""
        for name, changes in WITHOUT.items():
            best = min(self.ours.epoch(cache=False, **changes) for _ in range(2))
            self._rate(f"no cache, {name}", len(self.stream) / best)
            self._put("share_of_steps_as_graphs", name, found=self.ours.state.graph_steps / self.ours.state.step)
        for name, ms in step_floor(self.ours, 3 if self.device == "cpu" else FLOOR_STEPS).items():
            self._put("ms_of_a_step", name, found=ms)

    def _prediction(self) -> None:
        """From cached logits, and with the teacher beside."""
        self.later.model.to(self.device)
        stage = PredictionStage(self.later, self.ours.teacher, LossSettings())
        for name, cached in (("prediction, warm", True), ("prediction, no cache", False)):
            best = min(self.ours.epoch(cached, stage) for _ in range(3))
            self._rate(name, len(self.stream) / best)

    def _profiles(self) -> None:
        steps = len(self.stream) / self.rows
        ways = {
            "published": (lambda: self.published.train(self.inputs, self.rows, PROFILED_STEPS), PROFILED_STEPS),
            "warm": (self.ours.epoch, steps),
            "no cache": (lambda: self.ours.epoch(cache=False), steps),
            "no cache, no graphs, teacher in each step": (lambda: self.ours.epoch(cache=False, **NEITHER), steps),
        }
        for name, (run, count) in ways.items():
            self._put("profile of a step", name, found=profiled(run, self.device, count))

    def _rate(self, way: str, found: float) -> None:
        self._put("examples_per_second", way, found=found)
        self._put("peak_memory", way, found=peak_memory(self.device))

    def _put(self, *path: str, found: Any) -> None:
        self.results.put(self.name, *path, found=found)
