"""The paper's defaults by task, and what follows from a recipe."""

from __future__ import annotations

import pytest

from distill.timing import Cost
from pipelines.methods.finetune import RECIPE
from pipelines.methods.names import METHODS
from pipelines.options.teacher_cache import parse_bytes
from pipelines.options.training import Intermediate, Recipe
from pipelines.training.estimates import StageEstimate, TrainingEstimate
from pipelines.training.recipe import StageRecipe


@pytest.mark.parametrize(
    ("task", "epochs", "batch"),
    [("sst2", 10, 32), ("cola", 50, 32), ("mnli", 5, 256), ("qqp", 5, 256), ("qnli", 5, 256), ("rte", 10, 32)],
)
def test_intermediate_stage_by_task(task, epochs, batch):
    recipes = METHODS["tinybert"].recipes(task)
    assert recipes == {"intermediate": StageRecipe(epochs, batch, 5e-5), "prediction": StageRecipe(3, 32, 3e-5)}


def test_quick_profile_changes_epochs_alone():
    assert METHODS["tinybert"].recipes("mnli")["intermediate"].quick("intermediate") == StageRecipe(3, 256, 5e-5)
    assert RECIPE.quick("finetune") == StageRecipe(1, 32, 2e-5)


def test_steps_and_examples():
    recipe = StageRecipe(3, 32, 1e-5)
    assert (recipe.steps(100), recipe.examples(100, 42), recipe.sees_all(100)) == (12, 300, True)
    few = recipe.changed(Recipe(max_steps=2))
    assert (few.steps(100), few.examples(100, 1), few.sees_all(100)) == (2, 64, False)
    assert few.examples(100, 2) == 32 + 4  # the short batch of four comes early
    assert recipe.changed(Intermediate(epochs=0)).sees_all(100) is False


def test_the_teacher_is_paid_for_once_where_its_outputs_are_kept():
    recipe, cost = StageRecipe(10, 32, 1e-5), Cost(teacher=2.0, student=1.0)
    assert StageEstimate("intermediate", recipe, 100, cost, taught=100).seconds == 1000 + 200
    assert StageEstimate("intermediate", recipe, 100, cost, taught=1000).seconds == 1000 + 2000


def test_long_runs_are_announced_and_a_quick_one_is_offered():
    stage = StageEstimate("intermediate", StageRecipe(10, 32, 5e-5), 1_400_000, Cost(0.04, 0.01), 1_400_000)
    estimate = TrainingEstimate((stage,), "", 0, 0)
    said = estimate.warning("cpu", "paper")
    assert said is not None
    assert "about 2.3 days" in said
    assert "--profile quick takes about 19 min" in said
    assert estimate.warning("cpu", "quick") is None
    assert TrainingEstimate((stage.quick(),), "", 0, 0).warning("cpu", "paper") is None


@pytest.mark.parametrize(("text", "number"), [("20GB", 20 * 10**9), ("500 mb", 5 * 10**8), ("1.5k", 1500), ("7", 7)])
def test_bytes(text, number):
    assert parse_bytes(text) == number
