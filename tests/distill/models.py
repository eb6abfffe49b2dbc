"""Tiny seeded encoders of every supported family, and batches for them."""

from __future__ import annotations

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from tests.fixtures import VOCABULARY, tiny_config

FAMILIES = {
    "bert": (BertConfig, BertForSequenceClassification),
    "roberta": (RobertaConfig, RobertaForSequenceClassification),
    "xlm-roberta": (XLMRobertaConfig, XLMRobertaForSequenceClassification),
    "electra": (ElectraConfig, ElectraForSequenceClassification),
    "distilbert": (DistilBertConfig, DistilBertForSequenceClassification),
}


def tiny_encoder(family: str = "bert", seed: int = 0, **changes) -> PreTrainedModel:
    """A seeded random classifier of four layers, width 32, four heads; weights spread out."""
    config_class, model_class = FAMILIES[family]
    settings = tiny_config(num_hidden_layers=4).to_dict()
    kept = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    settings = {name: settings[name] for name in kept} | {
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
    }
    if family == "electra":
        settings["embedding_size"] = 16
    if family == "distilbert":
        settings["hidden_dim"] = settings.pop("intermediate_size")
    torch.manual_seed(seed)
    return model_class(config_class(**(settings | changes))).eval()


def tiny_student(seed: int = 1, **changes) -> PreTrainedModel:
    """Two layers, width 16, four heads, no dropout: losses are the same in training and evaluation."""
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    shape = {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 32}
    return tiny_encoder("bert", seed, **(still | shape | changes))


def tiny_batch(lengths: tuple[int, ...] = (7, 4, 1), seed: int = 0, width: int | None = None, pad: int = 0) -> dict:
    """Random ids (B, T) of the given unpadded lengths with their mask."""
    generator = torch.Generator().manual_seed(seed)
    width = max(lengths) if width is None else width
    ids = torch.full((len(lengths), width), pad)
    mask = torch.zeros(len(lengths), width, dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(10, len(VOCABULARY), (length,), generator=generator)
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}
