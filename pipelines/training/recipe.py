"""How long and how fast each stage trains: the paper's values by task (section 4.2), and a quick profile."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.errors import UserError
from pipelines.tasks.glue import GLUE
from pipelines.tasks.task import Task

PROFILES = ("paper", "quick")
QUICK_ROWS = 16_000  # a random subset: SST-2 with a BERT-base teacher in an hour or two on two cores
QUICK_SOURCES = 2_000  # first rows of the input that `run` augments
QUICK_EPOCHS = {"finetune": 1, "intermediate": 3, "prediction": 2}
MAX_LENGTH = 128


@dataclass(frozen=True)
class StageRecipe:
    """How one stage trains.

    Args:
        epochs: passes over the data; 0 leaves the stage out.
        batch_rows: examples of a step.
        learning_rate: at its peak.
        max_steps: stop after as many steps; None for all.

    Raises:
        UserError: a value out of its range.
    """

    epochs: int
    batch_rows: int
    learning_rate: float
    max_steps: int | None = None

    def __post_init__(self) -> None:
        refuse_values(self.epochs, self.batch_rows, self.learning_rate, self.max_steps)

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

    def changed(
        self,
        epochs: int | None,
        batch_rows: int | None,
        rate: float | None,
        max_steps: int | None,
        suffix: str = "",
        least_epochs: int = 0,
    ) -> StageRecipe:
        """The recipe with what a user set himself.

        Args:
            epochs: passes over the data; None, here and below, where he set nothing.
            batch_rows: examples of a step.
            rate: learning rate.
            max_steps: of the stage.
            suffix: of the options' names, such as `-intermediate`, for messages.
            least_epochs: 1 for a stage that cannot be left out.

        Raises:
            UserError: a value out of its range; it names the option.
        """
        refuse_values(epochs, batch_rows, rate, max_steps, suffix, least_epochs)
        given = {"epochs": epochs, "batch_rows": batch_rows, "learning_rate": rate, "max_steps": max_steps}
        return replace(self, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def refuse_values(
    epochs: int | None,
    batch_rows: int | None,
    rate: float | None,
    max_steps: int | None,
    suffix: str = "",
    least_epochs: int = 0,
) -> None:
    """Refuses what no stage can train with; None passes.

    Args:
        epochs: passes over the data.
        batch_rows: examples of a step.
        rate: learning rate.
        max_steps: of the stage.
        suffix: of the options' names.
        least_epochs: that are allowed.

    Raises:
        UserError: naming the option.
    """
    for option, value, least in (
        (f"--epochs{suffix}", epochs, least_epochs),
        (f"--batch-size{suffix}", batch_rows, 1),
        ("--max-steps", max_steps, 1),
    ):
        if value is not None and value < least:
            raise UserError(f"{option}: expected at least {least}, found {value}")
    if rate is not None and not 0 < rate < 1:
        raise UserError(f"--lr{suffix}: expected a learning rate between 0 and 1, found {rate}")


def stage_recipe(stage: str, task: str, profile: str = "paper") -> StageRecipe:
    """The defaults of a stage.

    Args:
        stage: finetune, intermediate or prediction.
        task: plain name of the task.
        profile: paper, or quick: fewer epochs, with QUICK_ROWS examples.

    Returns:
        Section 4.2 of the paper: 10 epochs at 5e-5 and 3 at 3e-5, batch 32; 5 epochs of batch 256 in the
        intermediate stage of large tasks, 50 epochs for CoLA. Fine-tuning, which it leaves open: 3 epochs at 2e-5.

    Raises:
        UserError: unknown profile.
    """
    if profile not in PROFILES:
        raise UserError(f"--profile: expected one of {', '.join(PROFILES)}, found {profile!r}")
    if stage == "finetune":
        recipe = StageRecipe(3, 32, 2e-5)
    elif stage == "prediction":
        recipe = StageRecipe(3, 32, 3e-5)
    else:
        recipe = StageRecipe(*GLUE.get(task, Task).intermediate, 5e-5)
    return replace(recipe, epochs=QUICK_EPOCHS[stage]) if profile == "quick" else recipe
