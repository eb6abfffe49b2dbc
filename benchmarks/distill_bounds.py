"""What layer distillation costs by count: arithmetic of a step, bytes of the cache, the gain that is left to be had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.cache_format import INDEX

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Arithmetic:
    """Floating-point operations of an example, matrix products alone.

    Args:
        teacher: its configuration.
        student: its configuration.
    """

    teacher: Any
    student: Any

    def live(self, lengths: NDArray[np.int64]) -> float:
        """Teacher and student, the mean over examples of these lengths."""
        return float(_encoder(self.teacher, lengths).mean()) + self.kept(lengths)

    def kept(self, lengths: NDArray[np.int64]) -> float:
        """The student alone; its backward pass costs two forward passes."""
        config = self.student
        states = (config.num_hidden_layers + 1) * lengths
        projections = 2 * states * config.hidden_size * self.teacher.hidden_size
        return 3 * float((_encoder(config, lengths) + projections).mean())


def _encoder(config: Any, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    width, feed_forward = config.hidden_size, config.intermediate_size
    linear = 2 * lengths * (4 * width * width + 2 * width * feed_forward)
    attention = 4 * lengths * lengths * width  # scores, and weights times values
    return config.num_hidden_layers * (linear + attention)


def masked_lm_head(student: Any, positions: float) -> float:
    """Operations of a masked-LM head, forward and back, at as many positions."""
    width = student.hidden_size
    return 3 * positions * 2 * width * (width + student.vocab_size)


def bounds(
    arithmetic: Arithmetic,
    times: dict[str, float],
    lengths: NDArray[np.int64],
    longest: int,
    heads: tuple[float, float] = (0.0, 0.0),
) -> dict[str, Any]:
    """The gain over the baseline when nothing is padded, nothing needless computed, at the baseline's own rate.

    Args:
        arithmetic: of an example.
        times: seconds an example: `baseline` in all, `optimiser` in each way.
        lengths: of the examples.
        longest: tokens that the baseline pads to.
        heads: operations of an example in a head, the baseline's and ours.

    Returns:
        `bound_cold` and `bound_warm`, and the same with an optimiser that costs nothing.
    """
    padded = arithmetic.live(np.full(1, longest)) + heads[0]
    rate = padded / (times["baseline"] - times["optimiser"])
    work = {"cold": arithmetic.live(lengths) + heads[1], "warm": arithmetic.kept(lengths) + heads[1]}
    found = {f"bound_{way}": times["baseline"] / (flop / rate + times["optimiser"]) for way, flop in work.items()}
    free = {f"{way}_without_optimiser": padded / flop for way, flop in work.items()}
    flops = {"baseline": padded, **work}
    return {**found, "bounds_by_count": free, "mflop_per_example": {way: flop / 1e6 for way, flop in flops.items()}}


def cache_theory(lengths: NDArray[np.int64], layers: int, teacher: Any) -> float:
    """Bytes an example: logits, scores and hidden states of `layers` mapped layers, unpadded, fp16; an index entry."""
    values = layers * (teacher.num_attention_heads * lengths**2 + lengths * teacher.hidden_size)
    return float(2 * (teacher.num_labels + values).mean()) + INDEX.itemsize
