"""DistilBERT (Sanh et al., DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter, 2019).

The general stage, over a corpus (sections 2 and 3): L = 5 T² L_ce + 2 L_mlm + L_cos with T = 2, the weights that the
authors' code is run with (huggingface/transformers, examples/research_projects/distillation). The student starts from
layers of its teacher. Batch and rate are those of their code for one process: 3 epochs at 5e-4, 5 sequences in 50
parts; the paper goes up to 4,000 a step. Their student has no embeddings of segments and no pooler, keeps its position
embeddings as they are, and they mask rare tokens more often; ours trains all of BERT's embeddings, by BERT's masking.

The task stage: the soft cross-entropy with the predictions of a fine-tuned teacher alone, as TinyBERT's Table 1 has
it, on the task's own rows. 3 epochs at 5e-5 and T = 2 are the defaults of the authors' second distillation, for SQuAD,
where it stands beside the labels.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.methods.general import fixed_masks, uncached_masks
from pipelines.methods.method import GeneralMethod, Method, MethodStage, Rows, TaskMethod
from pipelines.training.recipe import StageRecipe

if TYPE_CHECKING:
    from distill.distilbert import DistilbertStage
    from distill.objectives import PredictionStage
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.general.request import GeneralRequest
    from pipelines.training.request import DistillRequest

TEMPERATURE = 2.0
LAYERS = "distilbert"


def distilbert(request: DistillRequest) -> Method:
    """T² times the soft cross-entropy of the logits; of a task of scores the squared difference."""
    from distill.cache_format import CacheContent

    temperature = request.losses.temperature or TEMPERATURE

    def predictions(student: Student, teacher: Teacher) -> PredictionStage:
        from distill.losses import LossSettings
        from distill.objectives import PredictionStage

        config = student.model.config
        weight = 1.0 if config.num_labels == 1 else temperature**2
        weights = (*[1.0] * (config.num_hidden_layers + 1), weight)
        return PredictionStage(student, teacher, LossSettings(layer_weights=weights, temperature=temperature))

    stage = MethodStage(
        "prediction", predictions, request.prediction, selects=True, of_logits=True, kept=CacheContent.LOGITS
    )
    return Method(
        (stage,),
        {"method": "distilbert", "prediction": asdict(request.prediction), "losses": {"temperature": temperature}},
        ("knowledge-distillation", "distilbert"),
        {"method": f"DistilBERT (soft cross-entropy, temperature {temperature:g})"},
        projections=False,
        layers=lambda _, __: (),
    )


DISTILBERT = TaskMethod(
    distilbert,
    lambda _: {"prediction": StageRecipe(3, 32, 5e-5)},
    layered="prediction",
    start="teacher-layers",
    student="half",
    layer_map=LAYERS,
    augmented=False,
    shards=True,
    corpus="distill-general",
)


def distilbert_general(request: GeneralRequest) -> Method:
    """Predictions at all tokens, masked tokens, and the angle of the last hidden states."""
    from distill.cache_format import CacheContent

    choice, temperature = request.masked_lm, request.losses.temperature or TEMPERATURE

    def pre_training(student: Student, teacher: Teacher) -> DistilbertStage:
        from distill.distilbert import DistilbertSettings, DistilbertStage

        settings = DistilbertSettings(choice.soft, choice.weight, request.cosine, temperature)
        return DistilbertStage(student, teacher, settings)

    learns = choice.soft > 0 or request.cosine > 0
    stage = MethodStage(
        "general", pre_training, request.recipe, Rows.CORPUS, kept=CacheContent.HIDDEN,
        uncached=uncached_masks(choice) if learns else "of the teacher nothing is learnt", fixed=fixed_masks(choice),
    )  # fmt: skip
    settings = {
        "method": "distilbert",
        "recipe": asdict(request.recipe),
        "losses": {"temperature": temperature},
        "masked_lm": asdict(choice),
        "cosine": request.cosine,
    }
    losses = (
        f"teacher's predictions (weight {choice.soft:g}, temperature {temperature:g}), masked LM ({choice.weight:g}), "
        f"cosine of the last hidden states ({request.cosine:g})"
    )
    return Method(
        (stage,),
        settings,
        ("knowledge-distillation", "distilbert"),
        {"losses": losses},
        projections=False,
        layers=lambda _, last: (last,),
        equal_widths=request.cosine > 0,
    )


DISTILBERT_GENERAL = GeneralMethod(
    distilbert_general,
    StageRecipe(3, 256, 5e-4),
    start="teacher-layers",
    student="half",
    layer_map=LAYERS,
    mlm_weight=2.0,
    mlm_soft=5.0,
    own=("cosine",),
    weight_in_memory=4,
)
