"""BiLSTM_soft (Tang et al., Distilling Task-Specific Knowledge from BERT into Simple Neural Networks, 2019).

One stage on augmented rows: the mean squared difference of logits. The student has one bidirectional LSTM layer of 150
units a direction over word vectors, and 400 rectified linear units before the classifier, as TinyBERT's Table 3 has it
(300 and 400). Tang et al. augment otherwise: words are masked, replaced by others of their part of speech, or the text
is cut to a run of words; here rows are those of Algorithm 1. Their code (castorini/d-bert) trains by Adadelta, 30
epochs with batches of 50 for SST-2; here it is the one AdamW of all methods, at a rate usual for LSTMs, so epochs,
batch and rate are ours, and there is no dropout.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.methods.method import Method, MethodStage, TaskMethod
from pipelines.training.recipe import StageRecipe

if TYPE_CHECKING:
    from distill.bilstm import BiLstmStage
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.training.request import DistillRequest


def bilstm_soft(request: DistillRequest) -> Method:
    """The teacher's logits, by their squared distance."""
    from distill.cache_format import CacheContent

    def logits(student: Student, teacher: Teacher) -> BiLstmStage:
        from distill.bilstm import BiLstmStage

        return BiLstmStage(student, teacher)

    stage = MethodStage(
        "prediction", logits, request.prediction, selects=True, of_logits=True, kept=CacheContent.LOGITS
    )
    return Method(
        (stage,),
        {"method": "bilstm-soft", "prediction": asdict(request.prediction)},
        ("knowledge-distillation", "bilstm-soft"),
        {"method": "BiLSTM_soft (mean squared difference of logits)"},
        projections=False,
        layers=lambda _, __: (),
    )


BILSTM_SOFT = TaskMethod(
    bilstm_soft,
    lambda _: {"prediction": StageRecipe(5, 32, 1e-3)},
    layered="prediction",
    start="random",
    encoder=False,
    own=("glove",),
)
