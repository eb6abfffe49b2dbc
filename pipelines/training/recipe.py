"""How long and how fast each stage trains: the paper's values by task (section 4.2), and a quick profile."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.errors import UserError

PROFILES = ("paper", "quick")
LARGE = ("mnli", "qqp", "qnli")  # tasks of 100,000 and more training examples
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
        if self.epochs < 0 or self.batch_rows < 1:
            raise UserError(
                f"expected epochs of at least 0 and a batch size of at least 1, found {self.epochs} and "
                f"{self.batch_rows}; correct them"
            )
        if not 0 < self.learning_rate < 1:
            raise UserError(f"expected a learning rate between 0 and 1, found {self.learning_rate}; correct it")
        if self.max_steps is not None and self.max_steps < 1:
            raise UserError(f"--max-steps: expected at least 1, found {self.max_steps}")

    def examples(self, rows: int) -> int:
        """Examples that the stage sees of a data set of `rows`; a short last batch counts as a whole one."""
        every = self.epochs * rows
        return every if self.max_steps is None else min(every, self.max_steps * self.batch_rows)

    def steps(self, rows: int) -> int:
        """Its steps."""
        every = self.epochs * -(-rows // self.batch_rows)
        return every if self.max_steps is None else min(every, self.max_steps)

    def sees_all(self, rows: int) -> bool:
        """Whether at least one whole epoch is trained."""
        return self.epochs > 0 and self.steps(rows) * self.batch_rows >= rows

    def changed(self, epochs: int | None, batch_rows: int | None, rate: float | None, max_steps: int | None) -> (
        StageRecipe
    ):  # fmt: skip
        """The recipe with what a user set himself."""
        given = {"epochs": epochs, "batch_rows": batch_rows, "learning_rate": rate, "max_steps": max_steps}
        return replace(self, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


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
    elif task in LARGE:
        recipe = StageRecipe(5, 256, 5e-5)
    else:
        recipe = StageRecipe(50 if task == "cola" else 10, 32, 5e-5)
    return replace(recipe, epochs=QUICK_EPOCHS[stage]) if profile == "quick" else recipe
