"""What a user asks of general distillation and pre-training, decided as far as it can be; nothing heavy is imported."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipelines.options.verbs import GeneralDistillation, Pretraining
from pipelines.training.recipe import StageRecipe

PAIRS = 0.5  # share of pairs where the models know two segments: a student meets both forms of a task's rows
CPU_PART, GPU_PART = 32, 256  # sequences that go through the models at once: their attention scores are kept


@dataclass(frozen=True, kw_only=True)
class GeneralRequest(GeneralDistillation):
    """A general student to be made.

    Args:
        recipe: how it trains.

    Raises:
        UserError: a loss of 0; more parts of a step than it has sequences.
    """

    recipe: StageRecipe

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.losses.of_layers and not self.masked_lm.on:
            self.losses.refuse_nothing("general", "give --mlm-weight or --mlm-soft")
        self.machine.check_parts(self.recipe)


@dataclass(frozen=True, kw_only=True)
class PretrainRequest(Pretraining):
    """A small BERT to be made.

    Args:
        recipe: how it trains.

    Raises:
        UserError: more parts of a step than it has sequences.
    """

    recipe: StageRecipe

    def __post_init__(self) -> None:
        super().__post_init__()
        self.machine.check_parts(self.recipe)


def default_accumulation(batch_rows: int, device: str, processes: int, weight: int = 1) -> int:
    """Parts a step is cut into where the user says nothing, so that what is kept of it fits the memory.

    Args:
        batch_rows: sequences of a step.
        device: that they are trained on.
        processes: that share them.
        weight: memory of a sequence, in that of its attention scores.
    """
    part = (CPU_PART if device == "cpu" else GPU_PART) // weight
    return max(1, math.ceil(batch_rows / (processes * part)))
