"""Reads a model from a checkpoint: a missing head is drawn from a seed, other missing tensors are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from os import PathLike

    from transformers import PreTrainedConfig, PreTrainedModel

CLASSIFIERS = ("pooler", "pre_classifier", "classifier", "qa_outputs")
MASKED_LM_HEADS = (
    "cls", "lm_head", "generator_predictions", "generator_lm_head", "vocab_transform", "vocab_layer_norm",
    "vocab_projector",
)  # fmt: skip
HEADS = CLASSIFIERS + MASKED_LM_HEADS  # what a general student has to learn anew


def head_class(masked_lm: bool, spans: bool) -> Any:
    """The class of transformers for automatic models with a head.

    Args:
        masked_lm: for masked tokens.
        spans: for answers in a text; else for labels or a score.
    """
    import transformers

    if masked_lm:
        return transformers.AutoModelForMaskedLM
    return transformers.AutoModelForQuestionAnswering if spans else transformers.AutoModelForSequenceClassification


def read_model(
    head: Any, source: str | PathLike[str], config: PreTrainedConfig, seed: int
) -> tuple[PreTrainedModel, list[str], list[str]]:
    """Reads the weights of an encoder with a head, in float32; the caller's random state is left as it was.

    Args:
        head: a class of transformers for automatic models, such as AutoModelForMaskedLM.
        source: a folder, or a name on the hub.
        config: configuration of the model.
        seed: seed of drawn weights.

    Returns:
        The model, the names of tensors that were drawn because they are missing or of another size, and those of them
        that belong to no head.

    Raises:
        Exception: weights that cannot be read; each reader has errors of its own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, report = head.from_pretrained(
            source,
            config=config,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
            trust_remote_code=False,
        )
    drawn = sorted([*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])])
    lacking = [name for name in drawn if not any(part in HEADS for part in name.split("."))]
    return model, drawn, lacking
