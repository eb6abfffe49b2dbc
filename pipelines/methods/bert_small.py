"""BERT_SMALL of TinyBERT's Tables 2 and 9: a small BERT that is pre-trained as BERT is, then fine-tuned.

Pre-training (Devlin et al., BERT, 2018, section 3.1 and appendix A.2): masked LM and next-sentence prediction, 256
sequences a step at 1e-4, warm-up over 10,000 steps, about 40 epochs. BERT begins with 128 tokens a sequence for 90% of
its steps and goes on with 512; here the length is one. Its generator keeps ten sets of pairs and masks of a corpus;
here pairs are made once, and masks anew in each epoch. TinyBERT's appendix B says that its small BERT "strictly follows
the same learning strategy", and nothing of its fine-tuning: the recipe is that of any fine-tuning here.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pipelines.methods.finetune import FINETUNE, finetuned_student
from pipelines.methods.general import WARMUP_STEPS
from pipelines.methods.method import Method, MethodStage, Rows
from pipelines.training.recipe import StageRecipe

if TYPE_CHECKING:
    from distill.pretraining import PretrainingStage
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.general.request import PretrainRequest
    from pipelines.training.request import DistillRequest

RECIPE = StageRecipe(40, 256, 1e-4)


def pretraining(request: PretrainRequest) -> Method:
    """Masked tokens and next sentences, without a teacher."""
    stage = MethodStage("pretraining", _both, request.recipe, Rows.CORPUS, warmup_steps=WARMUP_STEPS)
    facts = {"losses": "masked LM (15% of the tokens, at most 20), next-sentence prediction"}
    return Method((stage,), {"recipe": asdict(request.recipe)}, ("bert",), facts, projections=False)


def bert_small(request: DistillRequest) -> Method:
    """Fine-tuning on labels of what was pre-trained; nothing is learnt from the teacher, which is compared with it."""
    method = finetuned_student(request)
    facts = {"method": "BERT_SMALL: pre-trained from scratch, then fine-tuned on labels"}
    return replace(method, settings={**method.settings, "method": "bert-small"}, facts=facts)


BERT_SMALL = replace(FINETUNE, build=bert_small, start="", student="", corpus="pretrain")


def _both(student: Student, _: Teacher) -> PretrainingStage:
    from distill.pretraining import PretrainingStage

    return PretrainingStage(student.model)
