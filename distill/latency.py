"""Models side by side on this CPU: their sizes, what they predict, and milliseconds of one text at a time."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING

import torch

from distill.outputs import model_logits
from distill.reading import Columns, open_shards
from distill.shards import OtherTokens, Position, ShardStream, StreamSettings
from distill.teacher import model_inputs
from distill.tokens import tokenizer_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


TEACHER = "teacher"
TEXTS = 128  # at most; a few seconds for small models
SECONDS = 6.0  # after which no further text is begun
# Of a text's passes through each model the fastest counts, for others' work on the machine only slows. They go on until
STEADY = 3  # rounds of them bring none that is faster by
GAIN = 0.05  # of it, or for
PASSES = 24  # rounds
GROUPS, IN_GROUP = 9, 3  # of passes of a text of no meaning; the first group is not counted, of each the fastest is
WARM_UP = 4  # texts that are not counted: the first passes allocate
CHUNK_ROWS = 8


@dataclass(frozen=True)
class Latency:
    """How long a forward pass of one text takes, tokenising left out.

    Attributes:
        milliseconds: model -> median over texts of the fastest of some passes.
        texts: that were timed.
        threads: of torch.
        device: that it was measured on.
    """

    milliseconds: dict[str, float]
    texts: int
    threads: int
    device: str = "cpu"


@dataclass(frozen=True)
class Timed:
    """What models predict of the same texts, and how fast.

    Attributes:
        rows: number of each text's row in its shard.
        labels: of the texts; empty without a label column.
        logits: model -> one array (C,) a text.
        latency: of the models.
    """

    rows: list[int]
    labels: list[float]
    logits: dict[str, list[NDArray[np.float32]]]
    latency: Latency


def single_texts(
    location: str,
    columns: Columns,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    other: PreTrainedTokenizerFast | None = None,
) -> ShardStream:
    """A stream of batches of one text, in random order, that reads no more of a data set than is wanted.

    Args:
        location: folder or file of Parquet.
        columns: what to read.
        tokenizer: of the student.
        max_length: tokens.
        other: of its teacher, where it is another one.
    """
    settings = StreamSettings(max_length, batch_rows=1, pool_rows=TEXTS, chunk_rows=CHUNK_ROWS, workers=0)
    pad = int(tokenizer.pad_token_id)
    theirs = None if other is None else OtherTokens(tokenizer_json(other), int(other.pad_token_id))
    return ShardStream(open_shards(location, columns), columns, tokenizer_json(tokenizer), pad, settings, other=theirs)


def time_models(models: Mapping[str, PreTrainedModel], stream: ShardStream) -> Timed:
    """Gives each text to every model in turn, so that what else the machine does slows all of them alike.

    Args:
        models: by name, on the CPU, in eval mode; `teacher` is the one that reads the stream's other tokens.
        stream: of batches of one text; is closed.
    """
    rows: list[int] = []
    labels: list[float] = []
    logits: dict[str, list[NDArray[np.float32]]] = {name: [] for name in models}
    fastest: dict[str, list[float]] = {name: [] for name in models}
    end = time.perf_counter() + SECONDS
    with closing(stream), torch.inference_mode():
        for batch in islice(stream.batches(Position()), TEXTS):
            found: dict[str, Tensor] = {}
            taught = batch.taught
            best, steady = dict.fromkeys(models, float("inf")), 0
            for _ in range(PASSES):
                steady += 1
                for name, model in models.items():
                    began = time.perf_counter()
                    found[name] = model_logits(model, model_inputs(taught if name == TEACHER else batch, model))
                    seconds = time.perf_counter() - began
                    steady = 0 if seconds < (1 - GAIN) * best[name] else steady
                    best[name] = min(best[name], seconds)
                if steady == STEADY or time.perf_counter() > end:
                    break
            for name in models:
                fastest[name].append(best[name])
                logits[name].append(found[name][0].numpy())
            rows.append(int(batch.row[0]))
            labels += [] if batch.labels is None else [float(batch.labels[0])]
            if time.perf_counter() > end:
                break
    times = {name: round(1000 * median(some[WARM_UP:] or some), 3) for name, some in fastest.items()}
    return Timed(rows, labels, logits, Latency(times, len(rows), torch.get_num_threads()))


def time_text(model: PreTrainedModel, length: int) -> float:
    """Milliseconds of one text: the median over some groups of passes of the fastest of each.

    Args:
        model: on the CPU, in eval mode.
        length: tokens of the text.
    """
    ids, seconds = torch.full((1, length), 5), []
    with torch.inference_mode():
        for _ in range(GROUPS * IN_GROUP):
            began = time.perf_counter()
            model_logits(model, {"input_ids": ids})
            seconds.append(time.perf_counter() - began)
    groups = [min(seconds[start : start + IN_GROUP]) for start in range(0, len(seconds), IN_GROUP)]
    return 1000 * median(groups[1:])  # the first passes allocate


def parameter_counts(model: PreTrainedModel) -> tuple[int, int]:
    """Parameters, and those of them that are not embeddings."""
    counts = [(name, value.numel()) for name, value in model.named_parameters()]
    total = sum(count for _, count in counts)
    return total, total - sum(count for name, count in counts if "embeddings" in name.split("."))


def model_size(model: PreTrainedModel, folder: Path) -> dict[str, int]:
    """How large a model is.

    Args:
        model: with its task head.
        folder: its files.

    Returns:
        `layers`; `parameters`, and those of them that are not embeddings, which a vocabulary decides more than a
        model's depth; `bytes` of its weights' files.
    """
    total, inside = parameter_counts(model)
    weights = [*folder.glob("model*.safetensors")] or [*folder.glob("pytorch_model*.bin")]
    return {
        "layers": int(getattr(model.config, "num_hidden_layers", 0)),
        "parameters": total,
        "without_embeddings": inside,
        "bytes": sum(path.stat().st_size for path in weights),
    }
