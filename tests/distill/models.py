"""Tiny seeded encoders of every supported family, and batches for them."""

from __future__ import annotations

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from tests.fixtures import VOCABULARY, tiny_config

MARKS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
OWN_SETTINGS = {  # of each family, beside the sizes that all have
    "bert": {},
    "roberta": {},
    "xlm-roberta": {},
    "electra": {"embedding_size": 16},
    "distilbert": {},
    "camembert": {},
    "ernie": {},
    "data2vec-text": {},
    "roberta-prelayernorm": {},
    "mobilebert": {  # normalises nothing, so its states grow with its weights
        "embedding_size": 16,
        "intra_bottleneck_size": 16,
        "num_feedforward_networks": 2,
        "initializer_range": 0.1,
    },
    "mpnet": {},
    "modernbert": {"local_attention": 4, "classifier_pooling": "mean", **MARKS},  # windows of 5 tokens
    "eurobert": {"num_key_value_heads": 2, "mask_token_id": 4, **MARKS},
    "nomic_bert": {},
}
FAMILIES = tuple(OWN_SETTINGS)


def tiny_encoder(family: str = "bert", seed: int = 0, **changes) -> PreTrainedModel:
    """A seeded random classifier of four layers, width 32, four heads; weights spread out."""
    settings = tiny_config(num_hidden_layers=4).to_dict()
    kept = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    settings = {name: settings[name] for name in kept} | {
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
    }
    if family == "distilbert":
        settings["hidden_dim"] = settings.pop("intermediate_size")
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, **(settings | OWN_SETTINGS[family] | changes))
    return AutoModelForSequenceClassification.from_config(config).eval()


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
