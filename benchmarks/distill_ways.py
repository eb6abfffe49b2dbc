"""The library's own path through a stage, cold and warm, and the models and rows that all ways share."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from benchmarks.distill_loader import loader
from distill.cache_format import CacheMode
from distill.checkpoints import RunState
from distill.general import GeneralStage, MaskedLmLoss
from distill.inputs import batch_tensors
from distill.layer_maps import resolve_layer_map
from distill.losses import LossSettings, total_loss
from distill.masking import UNMASKED
from distill.objectives import IntermediateStage
from distill.optimiser import make_optimiser
from distill.shapes import student_config
from distill.shards import Position, ShardStream, StreamSettings
from distill.student import Student, build_student
from distill.targets import Targets, cache_key
from distill.teacher import Teacher, TeacherTargets, autocast
from distill.teacher_cache import TeacherCache
from distill.training import train
from distill.training_settings import Hooks, TrainSettings
from pipelines.machine.memory import keep_freed_memory
from pipelines.models.load import pack_teacher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from distill.objectives import Stage
    from distill.reading import Columns
    from distill.shards import Batch


def random_teacher(vocabulary: int, seed: int) -> BertForSequenceClassification:
    """A model of BERT-base's size with drawn weights: they take as long as trained ones."""
    torch.manual_seed(seed)
    return BertForSequenceClassification(BertConfig(vocab_size=vocabulary)).eval()


def random_student(
    teacher: Any, seed: int, shape: str = "tinybert4", masked_lm: bool = False
) -> tuple[Student, tuple[int, ...]]:
    """A student, by default that of 4 layers and 312 features, and its uniform layer map."""
    depth = student_config(shape, teacher.config).num_hidden_layers
    layers = resolve_layer_map("uniform", depth, teacher.config.num_hidden_layers)
    return build_student(shape, "random", teacher, layers, seed, masked_lm), layers


def write_sample(
    train: Path, columns: Columns, tokenizer: Tokenizer, settings: StreamSettings, steps: int, to: Path
) -> None:
    """Writes the rows of a few of the batches that an epoch over `train` would have.

    The batches are spread over the first pool's, from the shortest to the longest, so that few of them have the
    lengths and the padding of a whole epoch. Read as one pool, the rows fall into the same batches again.

    Args:
        train: folder of shards.
        columns: of texts.
        tokenizer: of teacher and student.
        settings: of the stream.
        steps: batches to take.
        to: an existing folder.
    """
    stream = loader(train, columns, tokenizer, replace(settings, workers=0, masking=None))
    pool = [batch for batch in stream.batches(Position()) if len(batch) == settings.batch_rows]
    pool = pool[: max(1, settings.whole_pool // (settings.batch_rows or 1))]
    pool.sort(key=lambda batch: int(batch.mask.sum()))
    chosen = [pool[(2 * number + 1) * len(pool) // (2 * steps)] for number in range(min(steps, len(pool)))]
    parts = []
    for shard, path in enumerate(stream.files.paths):
        rows = np.concatenate([batch.row[batch.shard == shard] for batch in chosen])
        table = pq.read_table(path, columns=columns.names, filesystem=stream.files.filesystem)
        parts.append(table.take(pa.array(rows)).replace_schema_metadata(None))
    pq.write_table(pa.concat_tables(parts), to / "sample.parquet")


class Clocked(ShardStream):
    """A stream that notes when its last epoch was begun."""

    started = 0.0

    def batches(self, start: Position) -> Iterator[Batch]:
        """As the library's; the clock starts when the loop asks for the first batch."""
        self.started = time.perf_counter()
        yield from super().batches(start)


class Ours:
    """Epochs over the sample by `distill.training.train`, with an empty cache and with a full one.

    Args:
        teacher: with its task head, on its device.
        student: the student, random.
        layer_map: g(1) … g(M).
        stream: of the sample.
        settings: of the loop.
        folder: for caches and checkpoints.
        masked_lm: of general distillation, which has no prediction to learn; None for a task's intermediate stage.
    """

    def __init__(
        self,
        teacher: Any,
        student: Student,
        layer_map: tuple[int, ...],
        stream: Clocked,
        settings: TrainSettings,
        folder: Path,
        masked_lm: MaskedLmLoss | None = None,
    ) -> None:
        self.teacher = Teacher(teacher, layer_map, settings.precision, predicts=masked_lm is None)
        if masked_lm is None:
            self.stage = IntermediateStage(student, self.teacher, LossSettings())
        else:
            self.stage = GeneralStage(student, self.teacher, LossSettings(), masked_lm)
        self.stage.to(teacher.device)
        pack_teacher(self.teacher)
        keep_freed_memory()
        self.stream, self.settings, self.folder = stream, settings, folder
        self.runs, self.state = 0, RunState()
        self.caches: list[Path] = []

    def new_cache(self) -> None:
        """The next epoch with a cache is cold."""
        if self.caches:
            shutil.rmtree(self.caches[-1], ignore_errors=True)
        self.caches.append(self.folder / f"cache-{len(self.caches)}")

    def targets(self) -> Targets:
        """Teacher and the newest cache."""
        files = self.stream.files
        shards = range(len(files.paths))
        hashes, rows = [files.sha256(shard) for shard in shards], [files.shard_rows(shard) for shard in shards]
        key = cache_key(self.teacher, self.stream, CacheMode.FULL)
        return Targets(self.teacher, TeacherCache(self.caches[-1], key, hashes, rows))

    def epoch(self, cache: bool = True, stage: Stage | None = None, **changes: Any) -> float:
        """Trains an epoch; seconds from the first batch asked for to the cache's completion, without checkpoint.

        Args:
            cache: read and write the newest cache; without, nothing is kept.
            stage: to train in place of the intermediate one.
            changes: of the loop's settings.
        """
        ended = 0.0

        def note_end(_: Any) -> dict[str, float]:
            nonlocal ended
            synchronise()
            ended = time.perf_counter()
            return {}

        self.runs += 1
        folder = self.folder / f"run-{self.runs}"
        # Outside the clock: opening and hashing what a run opens once.
        targets = self.targets() if cache else Targets(self.teacher)
        settings = replace(self.settings, **changes)
        self.state = train(stage or self.stage, self.stream, targets, folder, settings, Hooks(evaluate=note_end))
        return ended - self.stream.started

    def cache_bytes(self) -> float:
        """Bytes an example of the newest cache."""
        files = [path for path in self.caches[-1].iterdir() if path.suffix in (".bin", ".idx")]
        return sum(path.stat().st_size for path in files) / len(self.stream)

    def batches(self) -> list[Batch]:
        """The epoch's batches."""
        return list(self.stream.batches(Position()))

    def losses(self, batch: Batch, targets: Targets) -> torch.Tensor:
        """The loss of every row (B,), float64, without dropout."""
        self.stage.eval()
        with torch.no_grad(), autocast(self.settings.precision, self.stage.model.device):
            found = learnt(self.stage, batch, targets(batch, self.stage.wanted))
        self.stage.train()
        return total_loss(found).double().cpu()

    def phases(self, steps: int = 6) -> dict[str, float]:
        """Milliseconds of each part of a step, the mean over a few batches; the cache has to be full."""
        warm, live = self.targets(), Targets(self.teacher)
        batches = self.batches()
        batches = batches[:: max(1, len(batches) // steps)]
        spent: dict[str, float] = {}
        trained, stage = make_optimiser(self.stage, self.settings), self.stage.train()
        for batch in batches:
            with _clock(spent, "teacher"):
                live(batch, stage.wanted)
            with _clock(spent, "cache read"):
                targets = warm(batch, stage.wanted)
            with _clock(spent, "student forward"), autocast(self.settings.precision, stage.model.device):
                loss = total_loss(learnt(stage, batch, targets)).mean()
            with _clock(spent, "backward"):
                loss.backward()
            with _clock(spent, "clip"):
                nn.utils.clip_grad_norm_(stage.parameters(), self.settings.clip)
            with _clock(spent, "optimiser"):
                trained.step()
                trained.zero_grad()
        return {name: 1000 * seconds / len(batches) for name, seconds in spent.items()}


def learnt(stage: IntermediateStage, batch: Batch, targets: TeacherTargets) -> dict[str, torch.Tensor]:
    """The losses of a batch by kind, each (B,)."""
    tensors = batch_tensors(batch, stage.model.device)
    found: dict[str, torch.Tensor] = stage(tensors.inputs(stage.model), targets, tensors.labels)
    return found


def optimiser_seconds(ours: Ours, batch: Batch, repeats: int = 3) -> float:
    """The least that clipping and AdamW take for a step of the student's parameters."""
    stage, settings = ours.stage, ours.settings
    optimiser = make_optimiser(stage, settings)
    total_loss(learnt(stage, batch, ours.targets()(batch, stage.wanted))).mean().backward()
    best = np.inf
    for _ in range(repeats + 1):  # the first one makes the moments
        spent: dict[str, float] = {}
        with _clock(spent, "step"):
            nn.utils.clip_grad_norm_(stage.parameters(), settings.clip)
            optimiser.step()
        best = min(best, spent["step"])
    stage.zero_grad(set_to_none=True)
    return float(best)


def padded_inputs(
    batches: list[Batch], model: Any, longest: int, seed: int
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """All rows padded to one length in random order, and where each came from among the batches' rows.

    Labels of masked tokens come as `labels`, if there are any.
    """
    rows: dict[str, list[Any]] = defaultdict(list)
    for batch in batches:
        missing = ((0, 0), (0, longest - batch.ids.shape[1]))
        parts = {"input_ids": batch.ids, "attention_mask": batch.mask, "token_type_ids": batch.types}
        for name, values in parts.items():
            rows[name].append(np.pad(values, missing))
        if batch.labels is not None:
            rows["labels"].append(np.pad(batch.labels, missing, constant_values=UNMASKED))
    order = np.random.default_rng(seed).permutation(sum(len(batch) for batch in batches))
    tensors = {name: torch.from_numpy(np.concatenate(parts)[order]) for name, parts in rows.items()}
    return {name: values.to(model.device) for name, values in tensors.items()}, order


def synchronise() -> None:
    """Waits for a GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def _clock(spent: dict[str, float], name: str) -> Iterator[None]:
    synchronise()
    start = time.perf_counter()
    yield
    synchronise()
    spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
