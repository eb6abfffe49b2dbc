"""Teacher and student side by side on this CPU: sizes, answers, and milliseconds of one text at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from transformers import PreTrainedModel

    from distill.reading import Columns
    from distill.shards import ShardStream

TEXTS = 128  # at most; a few seconds for small models
SECONDS = 6.0  # after which no further text is begun
PASSES = 3  # of a text through each model; the fastest counts, for others' work on the machine only slows
WARM_UP = 4  # texts that are not counted: the first passes allocate
CHUNK_ROWS = 8


@dataclass(frozen=True)
class Answers:
    """What models said of the same texts, and how fast.

    Args:
        rows: number of each text's row in its shard.
        labels: of the texts; None without a label column.
        logits: model -> one array (C,) a text.
        milliseconds: model -> median over texts of the fastest of some forward passes; tokenising is not in it.
    """

    rows: list[int]
    labels: list[float] | None
    logits: dict[str, list[np.ndarray]]
    milliseconds: dict[str, float]


def single_texts(location: str, columns: Columns, tokenizer: Any, max_length: int) -> ShardStream:
    """A stream of batches of one text, in random order, that reads no more of a data set than is wanted.

    Args:
        location: folder or file of Parquet.
        columns: what to read.
        tokenizer: a fast one.
        max_length: tokens.
    """
    from distill.reading import open_shards
    from distill.shards import ShardStream, StreamSettings
    from distill.tokens import tokenizer_json

    settings = StreamSettings(max_length, batch_rows=1, pool_rows=TEXTS, chunk_rows=CHUNK_ROWS, workers=0)
    tokens = tokenizer_json(tokenizer)
    return ShardStream(open_shards(location, columns), columns, tokens, tokenizer.pad_token_id, settings)


def ask(models: Mapping[str, PreTrainedModel], stream: ShardStream) -> Answers:
    """Gives each text to every model in turn, so that what else the machine does slows all of them alike.

    Args:
        models: by name, on the CPU, in eval mode.
        stream: of batches of one text.
    """
    import torch

    from distill.outputs import model_logits
    from distill.shards import Position
    from distill.teacher import model_inputs

    found: Answers = Answers([], None if stream.columns.label is None else [], {name: [] for name in models}, {})
    seconds: dict[str, list[float]] = {name: [] for name in models}
    end = time.perf_counter() + SECONDS
    with torch.inference_mode():
        for batch in islice(stream.batches(Position()), TEXTS):
            passes: dict[str, list[float]] = {name: [] for name in models}
            logits = {}
            for name, model in [*models.items()] * PASSES:
                began = time.perf_counter()
                logits[name] = model_logits(model, model_inputs(batch, model))
                passes[name].append(time.perf_counter() - began)
            for name in models:
                seconds[name].append(min(passes[name]))
                found.logits[name].append(logits[name][0].numpy())
            found.rows.append(int(batch.row[0]))
            if found.labels is not None and batch.labels is not None:
                found.labels.append(float(batch.labels[0]))
            if time.perf_counter() > end:
                break
    stream.close()
    for name, measured in seconds.items():
        found.milliseconds[name] = round(1000 * median(measured[WARM_UP:] or measured), 3)
    return found


def model_size(model: PreTrainedModel, folder: Path) -> dict[str, int]:
    """How large a model is.

    Args:
        model: with its task head.
        folder: its files.

    Returns:
        `layers`; `parameters`, and those of them that are not embeddings, which a vocabulary decides more than a
        model's depth; `bytes` of its weights' files.
    """
    counts = [(name, value.numel()) for name, value in model.named_parameters()]
    embeddings = sum(count for name, count in counts if "embeddings" in name.split("."))
    weights = [*folder.glob("model*.safetensors")] or [*folder.glob("pytorch_model*.bin")]
    return {
        "layers": int(model.config.num_hidden_layers),
        "parameters": sum(count for _, count in counts),
        "without_embeddings": sum(count for _, count in counts) - embeddings,
        "bytes": sum(path.stat().st_size for path in weights),
    }
