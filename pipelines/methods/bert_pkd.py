"""BERT-PKD (Sun et al., Patient Knowledge Distillation for BERT Model Compression, EMNLP 2019).

One stage on the labelled rows of the task, without augmentation: L = (1 - α) L_CE + α T² L_DS + β L_PT, where L_PT
compares the normalised [CLS] states of the student's layers but the last with those of as many teacher layers. The
student starts from the first layers of the encoder that the teacher was fine-tuned from. Values: the authors' example
(intersun/PKD-for-BERT-Model-Compression): 4 epochs at 1e-5, batch 32, α 0.7, T 10, β 500 of a mean over features.
Their code takes the mean of L_DS over the classes, too, which divides it by their number; the paper's formula and ours
sum them.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.methods.method import Method, MethodStage, Rows, TaskMethod
from pipelines.training.recipe import StageRecipe

if TYPE_CHECKING:
    from distill.pkd import PkdStage
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.training.request import DistillRequest

TEMPERATURE = 10.0


def bert_pkd(request: DistillRequest) -> Method:
    """Labels, the teacher's predictions and its [CLS] states, all in one stage."""
    from distill.cache_format import CacheContent
    from distill.layer_maps import patient_layers

    choice = request.pkd
    temperature = request.losses.temperature or TEMPERATURE

    def patience(student: Student, teacher: Teacher) -> PkdStage:
        from distill.pkd import PkdSettings, PkdStage

        return PkdStage(student, teacher, PkdSettings(choice.alpha, temperature, choice.beta))

    kept = CacheContent.CLS if choice.beta else CacheContent.LOGITS
    stage = MethodStage(
        "prediction",
        patience,
        request.prediction,
        Rows.ORIGINAL,
        labelled=True,
        selects=True,
        of_logits=not choice.beta,
        kept=kept,
    )
    weights = {"alpha": choice.alpha, "temperature": temperature, "beta": choice.beta}
    return Method(
        (stage,),
        {"method": "bert-pkd", "prediction": asdict(request.prediction), "pkd": {**weights, "layers": choice.layers}},
        ("knowledge-distillation", "bert-pkd"),
        {"method": f"BERT-PKD ({', '.join(f'{name} {value:g}' for name, value in weights.items())})"},
        projections=False,
        layers=lambda student, teacher: patient_layers(choice.layers, student, teacher) if choice.beta else (),
        equal_widths=choice.beta > 0,
    )


BERT_PKD = TaskMethod(
    bert_pkd,
    lambda _: {"prediction": StageRecipe(4, 32, 1e-5)},
    layered="prediction",
    start="first-layers",
    student="half",
    augmented=False,
    shards=False,
    own=("pkd",),
)
