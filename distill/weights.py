"""Weights from a checkpoint, of which a missing head is drawn and other missing tensors are named; or all drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from os import PathLike

    from transformers import PreTrainedConfig, PreTrainedModel


def in_head(model: PreTrainedModel, name: str) -> bool:
    """Whether a tensor or module belongs to a model's head or pooler, which a general student has to learn anew.

    Args:
        model: an encoder with a head.
        name: as in the model's `state_dict()`.
    """
    first, *inside = name.split(".")
    return first != model.base_model_prefix or "pooler" in inside


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
    lacking = [name for name in drawn if not in_head(model, name)]
    return model, drawn, lacking


def random_model(config: PreTrainedConfig, seed: int, head: Any) -> PreTrainedModel:
    """A model with drawn weights, in float32; the caller's random state is left as it was.

    Args:
        config: of the model.
        seed: of the weights.
        head: a class of transformers for automatic models.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = head.from_config(config)
    return model.float()
