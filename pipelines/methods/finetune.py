"""Fine-tuning on labels: one stage without a teacher, whose best epoch on dev is kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.methods.method import Method, MethodStage, Rows
from pipelines.training.recipe import StageRecipe

if TYPE_CHECKING:
    from distill.objectives import LabelStage
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.training.request import FinetuneRequest


RECIPE = StageRecipe(3, 32, 2e-5)  # the paper says nothing of it


def finetune(request: FinetuneRequest) -> Method:
    """Cross-entropy of the labels, or the squared error of a score, on the task's own train part."""

    def labels(student: Student, _: Teacher) -> LabelStage:
        from distill.objectives import LabelStage

        return LabelStage(student.model)

    stage = MethodStage("finetune", labels, request.recipe, Rows.ORIGINAL, labelled=True, selects=True, folder="labels")
    return Method((stage,), {"recipe": asdict(request.recipe)}, projections=False)
