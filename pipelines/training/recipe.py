"""How long and how fast a stage trains, and what a quick profile makes of it; methods have the values."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from distill.shape_names import RANDOM_RATE

if TYPE_CHECKING:
    from pipelines.options.training import Recipe

QUICK_ROWS = 16_000  # a random subset: SST-2 with a BERT-base teacher in an hour or two on two cores
QUICK_SOURCES = 2_000  # first rows of the input that `run` augments
QUICK_EPOCHS = {"general": 1, "pretraining": 1, "finetune": 1, "intermediate": 3, "prediction": 2}
MAX_LENGTH = 128


@dataclass(frozen=True)
class StageRecipe:
    """How one stage trains.

    Args:
        epochs: passes over the data; 0 leaves the stage out.
        batch_rows: examples of a step.
        learning_rate: at its peak.
        max_steps: stop after as many steps; None for all.
    """

    epochs: int
    batch_rows: int
    learning_rate: float
    max_steps: int | None = None

    def __str__(self) -> str:
        most = f", at most {self.max_steps} steps" if self.max_steps else ""
        return f"{self.epochs} epochs, batch {self.batch_rows}, learning rate {self.learning_rate}{most}"

    def examples(self, rows: int, seed: int) -> int:
        """Examples that the stage sees of a data set of `rows` in the order of a seed: an epoch has one short batch."""
        from distill.order import first_examples
        from distill.shards import StreamSettings

        return first_examples(self.steps(rows), rows, self.batch_rows, seed, StreamSettings.pool_rows)

    def steps(self, rows: int) -> int:
        """Its steps."""
        every = self.epochs * -(-rows // self.batch_rows)
        return every if self.max_steps is None else min(every, self.max_steps)

    def sees_all(self, rows: int) -> bool:
        """Whether at least one whole epoch is trained."""
        return self.epochs > 0 and self.steps(rows) * self.batch_rows >= rows

    def sees_once(self, rows: int) -> bool:
        """Whether training ends before any row comes a second time."""
        return self.steps(rows) <= -(-rows // self.batch_rows)

    def changed(self, given: Recipe) -> StageRecipe:
        """The recipe with what the user set."""
        typed = {one.name: value for one in fields(self) if (value := getattr(given, one.name)) is not None}
        return replace(self, **typed)

    def quick(self, stage: str) -> StageRecipe:
        """The recipe of a stage in the quick profile."""
        return replace(self, epochs=min(self.epochs, QUICK_EPOCHS.get(stage, self.epochs)))

    def from_random(self) -> StageRecipe:
        """The recipe for a student that starts from drawn weights, which want a larger rate than trained ones."""
        return replace(self, learning_rate=max(self.learning_rate, RANDOM_RATE))


LEFT_OUT = StageRecipe(0, 1, 1.0)
