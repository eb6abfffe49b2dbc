"""What the sections of the GPU benchmark share: random models, texts, clocks, results that outlive a cut."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from itertools import chain, cycle
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch
import transformers
from torch.profiler import ProfilerActivity, profile
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from benchmarks.distill_ways import synchronise
from pipelines.tasks import open_task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LISTED = 15  # rows of a profile


def planned_by(place: str, command: Sequence[object]) -> Any:
    """What a function gives while a dry run of `tinyaug` calls it.

    Args:
        place: its module and name.
        command: words after `tinyaug`.
    """
    from pipelines.cli.app import app

    function, found = resolve_name(place), []

    def kept(*given: Any) -> Any:
        found.append(function(*given))
        return found[-1]

    with patch(place, kept):
        code = app([str(part) for part in command], standalone_mode=False)
    if code or not found:
        raise RuntimeError(f"expected a plan, the dry run ended with {code}")
    return found[0]


@dataclass(frozen=True)
class Shape:
    """A BERT.

    Args:
        num_hidden_layers: its depth.
        hidden_size: its width.
        num_attention_heads: of each layer.
        intermediate_size: width of the feed-forward layers.
        vocab_size: at least; a tokenizer may have more.
    """

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int

    def config(self, vocabulary: int) -> BertConfig:
        """The configuration for a tokenizer of `vocabulary` entries."""
        return BertConfig(**{**asdict(self), "vocab_size": max(vocabulary, self.vocab_size)})


SHAPES = {"base": Shape(12, 768, 12, 3072, 30_522), "tiny": Shape(4, 96, 12, 192, 0)}


class Results:
    """A section's numbers, written anew with each of them: what is measured counts, whenever the run is cut off.

    Args:
        path: of the JSON.
        about: what is known beforehand.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self._path, self.content = path, {**about, "complete": False}

    def put(self, *path: str, found: Any) -> None:
        """Keeps and prints what was found under a name, or under a name within others."""
        *groups, name = path
        place = self.content
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = found
        partial = self._path.with_suffix(".tmp")
        partial.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
        partial.replace(self._path)
        print(f"{', '.join((self._path.stem, *path))}: {_short(found)}", flush=True)


def about(device: str, shape: str) -> dict[str, Any]:
    """Card, software and commit."""
    ran = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    found = {
        "shape": shape,
        "device": device,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "commit": ran.stdout.strip() or None,
    }
    if device != "cpu":
        card = torch.cuda.get_device_properties(device)
        found |= {"card": card.name, "memory": card.total_memory, "capability": f"{card.major}.{card.minor}"}
    return found


def make_model(shape: str, vocabulary: str | Path, to: Path) -> Path:
    """Writes a masked LM with drawn weights and the tokenizer of another one as a Hugging Face folder."""
    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    torch.manual_seed(0)
    BertForMaskedLM(SHAPES[shape].config(len(tokenizer))).save_pretrained(to)
    tokenizer.save_pretrained(to)
    return to


def read_texts(task: str, data: Path, limit: int) -> list[str]:
    """Texts of a task's train part in drawn order, the same each time."""
    opened = open_task(task, data)
    texts: list[str] = []
    for batch in opened.split("train").batches():
        for column in opened.task.text_columns:
            texts += batch.column(column).to_pylist()
    return [texts[row] for row in np.random.default_rng(0).permutation(len(texts))[:limit]]


def layer_weights(config: Any) -> int:
    """Weights of the matrices of a BERT's layers, each of which is multiplied once a token."""
    width = config.hidden_size
    return int(config.num_hidden_layers * (4 * width**2 + 2 * width * config.intermediate_size))


def rate(run: Callable[[Any], int], work: Sequence[Any], seconds: float) -> float:
    """Units a second, over as much of the work as fits, again and again; its first piece once before the clock."""
    run(work[0])
    synchronise()
    units, start = 0, time.perf_counter()
    for piece in cycle(chain(work[1:], work[:1])):
        units += run(piece)
        synchronise()
        if time.perf_counter() - start >= seconds:
            break
    return units / (time.perf_counter() - start)


def peak_memory(device: str) -> int | None:
    """Bytes of the card that torch used at most since the last call."""
    if device == "cpu":
        return None
    found = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return found


def profiled(run: Callable[[], Any], device: str, steps: int = 1) -> dict[str, Any]:
    """Where time goes, by torch's profiler: kernels and synchronisations of a step, the costliest on card and host."""
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device != "cpu")
    synchronise()
    with profile(activities=kinds) as seen:
        run()
        synchronise()
    rows = seen.key_averages()
    on_card = [row for row in rows if str(row.device_type).endswith("CUDA")]
    copies = [row for row in on_card if row.key.startswith(("Memcpy", "Memset"))]
    on_host = [row for row in rows if row not in on_card]
    waits = [row for row in on_host if "Synchronize" in row.key]
    return {
        "kernels": (sum(row.count for row in on_card) - sum(row.count for row in copies)) / steps,
        "copies": sum(row.count for row in copies) / steps,
        "synchronisations": sum(row.count for row in waits) / steps,
        "operations": sum(row.count for row in on_host if row.key.startswith("aten::")) / steps,
        "ms_on_card": sum(row.self_device_time_total for row in on_card) / 1e3 / steps,
        "card": [_row(row, row.self_device_time_total, steps) for row in _costliest(on_card, "self_device_time_total")],
        "host": [_row(row, row.self_cpu_time_total, steps) for row in _costliest(on_host, "self_cpu_time_total")],
    }


def _costliest(rows: list[Any], field: str) -> list[Any]:
    return sorted(rows, key=lambda row: -getattr(row, field))[:LISTED]


def _row(row: Any, microseconds: float, steps: int) -> dict[str, Any]:
    return {"name": row.key[:120], "calls": row.count / steps, "ms": microseconds / 1e3 / steps}


def _short(found: Any) -> str:
    if isinstance(found, float):
        return f"{found:,.4g}"
    text = json.dumps(found)
    return text if len(text) <= 160 else f"{text[:157]}..."
