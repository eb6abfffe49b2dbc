"""What the distillation benchmarks have in common: ways that take turns, equal losses, the machine."""

from __future__ import annotations

import os
import platform
import time
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.distill_ways import padded_inputs, synchronise
from distill.targets import Targets

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from benchmarks.distill_baseline import Published
    from benchmarks.distill_ways import Ours
    from distill.shards import Batch

WARM_EPOCHS = 3  # over the sample in a round: an epoch takes little


def take_turns(
    ways: Mapping[str, Callable[[], float]], rounds: int
) -> tuple[dict[str, float], dict[str, list[float]], dict[str, int]]:
    """Each way's best seconds an example, all its rates, and on a GPU the memory it took at most."""
    best: dict[str, float] = {}
    rates: dict[str, list[float]] = {}
    memory: dict[str, int] = {}
    for _ in range(rounds):
        for way, run in ways.items():
            seconds, taken = run(), _device_memory()
            best[way] = min(best.get(way, seconds), seconds)
            rates.setdefault(way, []).append(1 / seconds)
            memory |= {way: max(memory.get(way, 0), taken)} if taken else {}
    return best, rates, memory


def baseline_seconds(published: Published, inputs: dict[str, Any], rows: int, steps: int) -> float:
    """Seconds an example of the published loop, over a few steps of `rows` rows."""
    start = time.perf_counter()
    published.train(inputs, rows, steps)
    synchronise()
    return (time.perf_counter() - start) / (rows * steps)


def warm_seconds(ours: Ours) -> float:
    """The least seconds an example of a few epochs from a full cache."""
    return min(ours.epoch() for _ in range(WARM_EPOCHS)) / len(ours.stream)


def equality(
    ours: Ours, published: Published, batches: list[Batch], longest: int, rows: int, seed: int
) -> dict[str, float]:
    """Mean losses of the same rows by all ways at the same weights, and the largest relative difference of a row's.

    The baseline runs on batches of its own: other rows together, padded to the maximum length.

    Args:
        ours: its cache is full.
        published: gets our weights.
        batches: a few of ours.
        longest: tokens that the baseline pads to.
        rows: of a batch of the baseline's.
        seed: of their order.
    """
    sources = {"without_cache": Targets(ours.teacher), "with_cache": ours.targets()}
    found = {name: torch.cat([ours.losses(batch, source) for batch in batches]) for name, source in sources.items()}
    published.take_weights(ours.stage.model, ours.stage.projections)
    inputs, order = padded_inputs(batches, ours.teacher.model, longest, seed)
    parts = [{name: values[at : at + rows] for name, values in inputs.items()} for at in range(0, len(order), rows)]
    found["baseline"] = torch.cat([published.losses_without_padding(part) for part in parts])
    for name in sources:
        found[name] = found[name][torch.from_numpy(order)]
    exact = found["baseline"]
    apart = {f"{name}_apart": float(((found[name] - exact) / exact).abs().max()) for name in sources}
    return {name: float(losses.mean()) for name, losses in found.items()} | apart


def loss_words(loss: dict[str, float]) -> str:
    """What `equality` found, as a line."""
    return (
        f"loss {loss['baseline']:.6f} (baseline, padding left out), {loss['without_cache']:.6f} without and "
        f"{loss['with_cache']:.6f} with cache; a row differs by {loss['without_cache_apart']:.1e} and "
        f"{loss['with_cache_apart']:.1e} at most (fp16 rounds by 4.9e-04)"
    )


def machine(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was measured on, and with which settings."""
    settings = ("device", "precision", "threads", "rounds", "steps", "baseline_steps", "batch_rows", "max_length")
    return {
        **{name: getattr(arguments, name) for name in settings},
        "gpu": torch.cuda.get_device_name() if arguments.device != "cpu" else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }


def _device_memory() -> int:
    """The most bytes that tensors took on the GPU since the last call; 0 without one."""
    if not torch.cuda.is_available():
        return 0
    most = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return most
