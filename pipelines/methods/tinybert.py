"""TinyBERT's task distillation (Jiao et al., 2020, section 3): first the teacher's layers, then its predictions.

Both stages read the augmented rows (section 3.3) and no labels; of SQuAD the second reads the original ones
(appendix C).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pipelines.methods.method import Method, MethodStage, Rows, TaskMethod
from pipelines.training.recipe import StageRecipe

if TYPE_CHECKING:
    from distill.losses import LossSettings
    from distill.objectives import IntermediateStage, PredictionStage
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.options.training import LossChoice
    from pipelines.training.request import DistillRequest

TEMPERATURE = 1.0


def tinybert(request: DistillRequest) -> Method:
    """Eqs. 7 to 9 on the embeddings, attention scores and hidden states of the mapped layers, then Eq. 10 on logits."""
    from distill.cache_format import CacheContent
    from pipelines.tasks.squad import is_squad

    losses = decided(request.losses)

    def layers(student: Student, teacher: Teacher) -> IntermediateStage:
        from distill.objectives import IntermediateStage

        return IntermediateStage(student, teacher, loss_settings(losses))

    def predictions(student: Student, teacher: Teacher) -> PredictionStage:
        from distill.objectives import PredictionStage

        return PredictionStage(student, teacher, loss_settings(losses))

    intermediate = MethodStage("intermediate", layers, request.intermediate, kept=losses.kept_of_layers())
    rows = Rows.ORIGINAL if is_squad(request.data.task) else Rows.AUGMENTED
    prediction = MethodStage(
        "prediction", predictions, request.prediction, rows, selects=True, of_logits=True, kept=CacheContent.LOGITS
    )
    settings = {
        "intermediate": asdict(request.intermediate),
        "prediction": asdict(request.prediction),
        "losses": asdict(losses),
    }
    return Method((intermediate, prediction), settings, ("knowledge-distillation", "tinybert"))


def recipes(task: str) -> dict[str, StageRecipe]:
    """Section 4.2: 10 epochs at 5e-5 and 3 at 3e-5, batch 32; intermediate: 50 for CoLA, 5 of batch 256 where large.

    Of SQuAD the prediction stage has 3 epochs at 5e-5 (appendix C).
    """
    from pipelines.tasks.glue import GLUE
    from pipelines.tasks.squad import PREDICTION, is_squad
    from pipelines.tasks.task import Task

    intermediate = StageRecipe(*GLUE.get(task, Task).intermediate, 5e-5)
    return {"intermediate": intermediate, "prediction": StageRecipe(*(PREDICTION if is_squad(task) else (3, 32, 3e-5)))}


TINYBERT = TaskMethod(tinybert, recipes, corpus="distill-general")


def decided(choice: LossChoice) -> LossChoice:
    """The losses with the paper's temperature where the user named none."""
    return replace(choice, temperature=choice.temperature or TEMPERATURE)


def loss_settings(choice: LossChoice) -> LossSettings:
    """The library's settings for the losses that the user chose."""
    from distill.losses import HeadReduction, LossSettings

    return LossSettings(
        **{kind: kind in choice.kinds for kind in ("embedding", "attention", "hidden")},
        layer_weights=choice.layer_weights,
        temperature=choice.temperature or TEMPERATURE,
        heads=HeadReduction(choice.heads),
    )
