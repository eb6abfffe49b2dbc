"""Tiny seeded classifiers of families whose layers are not known here, each with a tokenizer of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    XLNetConfig,
    XLNetForSequenceClassification,
)

from tests.fixtures import PUNCTUATION, WHOLE_WORDS

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = ["<pad>", "<unk>", "<cls>", "<sep>", *sorted(WHOLE_WORDS, reverse=True), *PUNCTUATION]
SIZES = {"vocab_size": len(TOKENS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
WIDE = {"intermediate_size": 32, "max_position_embeddings": 64, "initializer_range": 0.4}
FAMILIES: dict[str, tuple[type, type, dict[str, Any]]] = {
    "xlnet": (
        XLNetConfig,
        XLNetForSequenceClassification,
        {"vocab_size": len(TOKENS), "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32, "initializer_range": 0.4},
    ),
    "deberta-v2": (
        DebertaV2Config,
        DebertaV2ForSequenceClassification,
        {**SIZES, **WIDE, "relative_attention": True, "pos_att_type": "c2p|p2c"},
    ),
    "albert": (AlbertConfig, AlbertForSequenceClassification, {**SIZES, **WIDE, "embedding_size": 8}),
}


def foreign_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """Whole words, in another order than BERT's; XLNet's pads on the left and has its class token at the end."""
    numbers = {token: number for number, token in enumerate(TOKENS)}
    backend = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    last = family == "xlnet"
    backend.post_processor = processors.TemplateProcessing(
        single="$A <sep> <cls>:2" if last else "<cls> $A <sep>",
        pair="$A <sep> $B:1 <sep>:1 <cls>:2" if last else "<cls> $A <sep> $B:1 <sep>:1",
        special_tokens=[("<cls>", 2), ("<sep>", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", cls_token="<cls>", sep_token="<sep>",
        padding_side="left" if last else "right", model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def foreign_classifier(family: str, seed: int = 0) -> PreTrainedModel:
    """A seeded random classifier of two classes whose weights are spread out."""
    kind, model, sizes = FAMILIES[family]
    torch.manual_seed(seed)
    return model(kind(pad_token_id=0, **sizes)).eval()


def save_foreign(folder: Path, family: str) -> Path:
    """Writes model and tokenizer as an ordinary Hugging Face folder."""
    foreign_classifier(family).save_pretrained(folder)
    foreign_tokenizer(family).save_pretrained(folder)
    return folder
