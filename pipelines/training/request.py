"""What a user asks of the training verbs, with recipes, device and precision decided; nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.errors import UserError
from pipelines.options.verbs import Distillation, Finetuning
from pipelines.training.recipe import StageRecipe


@dataclass(frozen=True, kw_only=True)
class FinetuneRequest(Finetuning):
    """A teacher to be made.

    Args:
        recipe: how it trains.

    Raises:
        UserError: more parts of a step than it has examples.
    """

    recipe: StageRecipe

    def __post_init__(self) -> None:
        super().__post_init__()
        self.machine.check_parts(self.recipe)


@dataclass(frozen=True, kw_only=True)
class DistillRequest(Distillation):
    """A student to be made; the dev part of `data` selects the best epoch.

    Args:
        intermediate: recipe of the first stage.
        prediction: recipe of the second.

    Raises:
        UserError: both stages are left out, or the loss of one that is not is 0; more parts of a step than it has
            examples.
    """

    intermediate: StageRecipe
    prediction: StageRecipe

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.intermediate.epochs and not self.prediction.epochs:
            raise UserError("expected a stage to train, found 0 epochs; raise them")
        for stage, recipe, is_learnt in (
            ("intermediate", self.intermediate, self.losses.of_layers),
            ("prediction", self.prediction, self.losses.weight_of_predictions != 0),
        ):
            self.machine.check_parts(recipe)
            if recipe.epochs and not is_learnt:
                self.losses.refuse_nothing(stage, f"leave the stage out with --epochs-{stage} 0")
