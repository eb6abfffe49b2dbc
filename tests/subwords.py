"""Tiny masked LMs with byte-level BPE and SentencePiece tokenizers, trained on the spot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedTokenizerFast

from tests.fixtures import WHOLE_WORDS

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

MARKS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SPECIAL = {"bos": "<s>", "eos": "</s>", "cls": "<s>", "sep": "</s>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"}
KINDS = {"roberta": "byte-level", "modernbert": "byte-level", "xlm-roberta": "pieces", "camembert": "pieces"}
_KNOWN = [word for word in WHOLE_WORDS if word not in ("slow", "quick")]  # these two are words of several pieces
SENTENCES = [
    f"{word} a {word} The {word.title()}, ({word}) café 中文 {word}! Not; {word}?" for word in [*_KNOWN, *_KNOWN[::-1]]
]
LEARNT = 320  # tokens


def subword_tokenizer(kind: str = "byte-level") -> PreTrainedTokenizerFast:
    """A fast tokenizer built like RoBERTa's (byte-level BPE) or XLM-R's (pieces: Unigram with ▁)."""
    backend: Any
    if kind == "byte-level":
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=256 + LEARNT, special_tokens=MARKS, initial_alphabet=sorted(alphabet), show_progress=False
        )
    else:
        backend = Tokenizer(models.Unigram())
        backend.normalizer = normalizers.NFKC()
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
        )
        backend.decoder = decoders.Metaspace(prepend_scheme="always")
        trainer = trainers.UnigramTrainer(
            vocab_size=LEARNT, special_tokens=MARKS, unk_token="<unk>", show_progress=False
        )
    backend.train_from_iterator(SENTENCES, trainer)
    marks = [(mark, backend.token_to_id(mark)) for mark in ("<s>", "</s>")]
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=marks
    )
    named = {f"{role}_token": mark for role, mark in SPECIAL.items()}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **named)


def subword_model(family: str, tokenizer: PreTrainedTokenizerFast, seed: int = 0, head: Any = None) -> PreTrainedModel:
    """A seeded random model of two layers, with a masked-LM head unless another automatic class is given."""
    torch.manual_seed(seed)
    numbers = {f"{role}_token_id": tokenizer.convert_tokens_to_ids(mark) for role, mark in SPECIAL.items()}
    own = {"modernbert": {"local_attention": 16}}.get(family, {"type_vocab_size": 1})
    config = AutoConfig.for_model(
        family, vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=66, initializer_range=0.4, **numbers, **own,
    )  # fmt: skip
    return (head or AutoModelForMaskedLM).from_config(config).eval()


def save_subword_masked_lm(folder: Path, family: str = "roberta", seed: int = 0) -> Path:
    """Writes model and tokenizer as an ordinary Hugging Face folder."""
    tokenizer = subword_tokenizer(KINDS[family])
    subword_model(family, tokenizer, seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
