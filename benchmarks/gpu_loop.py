"""Training for a while as the verbs do it, with loader, checkpoints and dev: the rates of the table of `gpu.py`."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from benchmarks.distill_ways import random_student, synchronise
from benchmarks.gpu_parts import SHAPES, about, layer_weights, peak_memory, read_texts
from distill.cache_format import CacheContent
from distill.errors import StoppedError
from distill.evaluation import evaluate
from distill.losses import LossSettings
from distill.metrics import Metric
from distill.objectives import IntermediateStage, LabelStage, PredictionStage
from distill.precision import Precision
from distill.reading import Columns
from distill.targets import Targets, cache_key, fill_cache, sample_lengths
from distill.teacher import Teacher
from distill.teacher_cache import TeacherCache
from distill.training import train
from distill.training_settings import Hooks, Progress, TrainSettings
from pipelines.training.parts import open_stream

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from benchmarks.gpu_parts import Results
    from distill.objectives import Stage
    from distill.shards import ShardStream

MOST_TOKENS, DEV_ROWS = 128, 872
VARIANTS = 20  # how often the texts come in the training rows, as with N = 20
WARM = 2  # how often in those whose full cache is read
ENDLESS = 1_000_000  # epochs: the clock ends a run
CHECKPOINT_STEPS = 500  # as the verbs have it


def measure(arguments: argparse.Namespace, results: Results, folder: Path) -> None:
    """The intermediate stage in the rows of the table, each over 0.3 of `--seconds`."""
    loops = Loops(arguments, folder)
    results.content |= {**about(arguments.device, arguments.shape), **loops.cost()}
    seconds = 0.3 * arguments.seconds
    for rows, name in ((32, "cold"), (256, "cold"), (32, "warm")):
        way = loops.warm if name == "warm" else loops.cold
        try:
            results.put(f"batch {rows}, {name}", found=way(rows, seconds))
        except Exception as error:  # the other rows are measured
            results.put("errors", f"batch {rows}, {name}", found=f"{type(error).__name__}: {str(error)[:300]}")
    if results.content.get("errors"):
        raise RuntimeError(f"not measured: {', '.join(results.content['errors'])}")


class Loops:
    """Rows, teacher and students.

    Args:
        arguments: of the command line.
        folder: for rows, caches and checkpoints.
    """

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.device, self.folder, self.runs = arguments.device, folder, 0
        self.tokenizer = AutoTokenizer.from_pretrained(arguments.mlm)
        texts = read_texts(arguments.task, arguments.data, arguments.texts)
        variants = max(1, round(VARIANTS * min(1.0, arguments.seconds / 200)))
        for name, rows in {"train": texts * variants, "warm": texts * WARM, "dev": texts[:DEV_ROWS]}.items():
            (folder / name).mkdir()
            table = pa.table({"text": rows, "label": np.arange(len(rows)) % 2})
            pq.write_table(table, folder / name / "rows.parquet")
        torch.manual_seed(0)
        config = SHAPES[arguments.shape].config(len(self.tokenizer))
        self.model: Any = BertForSequenceClassification(config).eval().to(self.device)
        self.settings = TrainSettings(
            ENDLESS, 5e-5, precision=Precision.AUTO, checkpoint_every=CHECKPOINT_STEPS, cpu=self.device == "cpu"
        )

    def cost(self) -> dict[str, float]:
        """What an example of the intermediate stage costs at least, by the products of the layers alone."""
        student, _ = random_student(self.model, 0)
        flop = 2 * layer_weights(self.model.config) + 6 * layer_weights(student.model.config)
        tokens = float(sample_lengths(self._stream("train", 32)).mean())
        return {"tokens_of_an_example": tokens, "flop_of_an_example": flop * tokens}

    def cold(self, rows: int, seconds: float, logits: bool = False) -> dict[str, float]:
        """The intermediate stage with the teacher beside.

        Args:
            rows: of a step.
            seconds: to go on.
            logits: with a cache of logits that is filled, as `--cache auto` has it after the first epoch.
        """
        stage, teacher = self._intermediate()
        return self._trained(stage, "train", rows, seconds, self._targets(teacher, "train", rows, logits))

    def warm(self, rows: int, seconds: float) -> dict[str, float]:
        """The intermediate stage from a cache of all that it wants."""
        stage, teacher = self._intermediate()
        began = time.perf_counter()
        targets = self._targets(teacher, "warm", rows, content=CacheContent.FULL)
        filling = time.perf_counter() - began
        return {**self._trained(stage, "warm", rows, seconds, targets), "seconds_of_filling": filling}

    def prediction(self, rows: int, seconds: float) -> dict[str, float]:
        """The prediction stage from cached logits."""
        student, _ = random_student(self.model, 0)
        teacher = Teacher(self.model, (), self.settings.precision)
        student.model.to(self.device)
        stage = PredictionStage(student, teacher, LossSettings())
        return self._trained(stage, "train", rows, seconds, self._targets(teacher, "train", rows, True))

    def labels(self, rows: int, seconds: float) -> dict[str, float]:
        """Fine-tuning of a model like the teacher."""
        torch.manual_seed(1)
        model: Any = BertForSequenceClassification(self.model.config).to(self.device)
        return self._trained(LabelStage(model), "train", rows, seconds, None)

    def _intermediate(self) -> tuple[IntermediateStage, Teacher]:
        student, layers = random_student(self.model, 0)
        teacher = Teacher(self.model, layers, self.settings.precision)
        stage = IntermediateStage(student, teacher, LossSettings())
        stage.to(self.device)
        return stage, teacher

    def _stream(self, data: str, rows: int, label: str | None = None) -> ShardStream:
        columns, kept = Columns(("text",), label), self.folder / f"{data}-tokens"
        place = str(self.folder / data)
        return open_stream(place, columns, self.tokenizer, MOST_TOKENS, rows, kept=kept if label is None else None)

    def _targets(
        self, teacher: Teacher, data: str, rows: int, logits: bool = False, content: CacheContent = CacheContent.LOGITS
    ) -> Targets:
        """The teacher, and a cache that is filled where there is to be one."""
        if not logits and content is CacheContent.LOGITS:
            return Targets(teacher)
        stream = self._stream(data, rows)
        hashes, sizes = [stream.files.sha256(0)], [stream.files.shard_rows(0)]
        place = self.folder / f"cache-{content}-{rows}"
        targets = Targets(teacher, TeacherCache(place, cache_key(teacher, stream, str(content)), hashes, sizes))
        fill_cache(targets, stream)
        stream.close()
        return targets

    def _trained(self, stage: Stage, data: str, rows: int, seconds: float, targets: Targets | None) -> dict[str, float]:
        """Trains until the time is over, then judges once on dev."""
        self.runs += 1
        stream, dev = self._stream(data, rows, None if targets else "label"), self._stream("dev", 32, "label")
        folder, seen = self.folder / f"run-{self.runs}", [Progress(0, 0, 0, 0, {}, 0.0)]
        synchronise()
        peak_memory(self.device)
        began = time.perf_counter()
        hooks = Hooks(seen.append, stop=lambda: time.perf_counter() - began >= seconds)
        with suppress(StoppedError):
            train(stage, stream, targets, folder, self.settings, hooks)
        evaluate(stage.model, dev, (Metric.ACCURACY,), self.settings.precision)
        synchronise()
        took = time.perf_counter() - began
        state = json.loads(next(folder.glob("step-*/state.json")).read_text())["state"]
        stream.close()
        shutil.rmtree(folder)
        return {
            "examples_per_second": seen[-1].examples / took,
            "seconds": took,
            "steps": seen[-1].step,
            "share_of_steps_as_graphs": state["graph_steps"] / max(1, state["step"]),
            "peak_memory": peak_memory(self.device) or 0,
        }
