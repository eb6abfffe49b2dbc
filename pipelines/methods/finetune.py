"""Fine-tuning on labels: one stage without a teacher, whose best epoch on dev is kept.

As a verb it makes a teacher; as a method of `distill` and `run` a student that learns nothing from one, which gives
its shape and vocabulary and is compared with it: the baseline of any method, and TinyBERT's ablation without task
distillation (Tables 5 and 9).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.methods.method import Method, MethodStage, TaskMethod
from pipelines.training.recipe import StageRecipe

if TYPE_CHECKING:
    from distill.objectives import LabelStage
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.training.request import DistillRequest, FinetuneRequest


RECIPE = StageRecipe(3, 32, 2e-5)  # the paper says nothing of it


def finetune(request: FinetuneRequest) -> Method:
    """Cross-entropy of the labels, or the squared error of a score; on the rows of --train where it is given."""
    stage = MethodStage("finetune", _labels, request.recipe, labelled=True, selects=True, folder="labels")
    return Method((stage,), {"recipe": asdict(request.recipe)}, projections=False)


def finetuned_student(request: DistillRequest) -> Method:
    """The same of a student, on the rows of --train and their labels where it is given."""
    stage = MethodStage("labels", _labels, request.prediction, labelled=True, selects=True, of_logits=True)
    return Method(
        (stage,),
        {"method": "finetune", "prediction": asdict(request.prediction)},
        facts={"method": "fine-tuning on labels; nothing is learnt from the teacher"},
        projections=False,
        layers=lambda _, __: (),
    )


FINETUNE = TaskMethod(
    finetuned_student,
    lambda _: {"prediction": RECIPE},
    layered="prediction",
    start="first-layers",
    student="half",
    augmented=False,
    taught=False,
)


def _labels(student: Student, _: Teacher) -> LabelStage:
    from distill.objectives import LabelStage

    return LabelStage(student.model)
