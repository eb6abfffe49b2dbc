"""Tiny real models, tokenizers and vectors, made on the spot: no download, no file in the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

if TYPE_CHECKING:
    from pathlib import Path

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WHOLE_WORDS = (
    "a an the film movie story plot actor scene music is was feels looks seems very quite rather not never "
    "good bad dull bright funny sad slow quick warm cold great poor fine small big old new it this that and "
    "or but with of in on to for by from one two three 1 2 10 i you he she we they paris london cat dog "
    "bird fish red green blue"
).split()
PUNCTUATION = [".", ",", "!", "?", "'", '"', "-", ":", ";", "(", ")", "[", "]", "…", "中", "文"]
PIECES = ["##" + piece for piece in "s ed ing ly er est ish un ness ment able ful".split()] + [
    "##" + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789"
]
LETTERS = list("abcdefghijklmnopqrstuvwxyz3456789")
VOCABULARY = list(dict.fromkeys([*SPECIAL, "[unused0]", "[unused1]", *WHOLE_WORDS, *PUNCTUATION, *LETTERS, *PIECES]))

GLOVE_WORDS = (
    "film films movie movies cinema gripping absorbing riveting dazzling glowing shining sparkling tedious "
    "tiresome boring dreary Paris paris London berlin"
).split()


def tiny_tokenizer(lowercase: bool = True) -> BertTokenizerFast:
    """A fast WordPiece tokenizer over VOCABULARY, built like BERT's own."""
    return tokenizer_of(VOCABULARY, lowercase)


def tokenizer_of(tokens: list[str], lowercase: bool = True) -> BertTokenizerFast:
    """The same over other tokens, the special ones among them."""
    vocabulary = {token: index for index, token in enumerate(tokens)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return BertTokenizerFast(tokenizer_object=backend, do_lower_case=lowercase, model_max_length=64)


def tiny_config(**changes: int) -> BertConfig:
    """Two layers, width 32, four heads, 64 positions: runs in a millisecond."""
    settings = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    return BertConfig(**{**settings, **changes})


def tiny_masked_lm(seed: int = 0, **changes: int) -> BertForMaskedLM:
    """A seeded random BERT with a masked-LM head, weights spread enough that predictions differ."""
    torch.manual_seed(seed)
    return BertForMaskedLM(tiny_config(initializer_range=0.4, **changes)).eval()


def save_tiny_masked_lm(folder: Path, seed: int = 0, **changes: int) -> Path:
    """Writes model and tokenizer as an ordinary Hugging Face folder."""
    tiny_masked_lm(seed, **changes).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def glove_text(words: list[str] | None = None, dimensions: int = 8, seed: int = 0) -> str:
    """The text of a GloVe file: one word a line, followed by its numbers."""
    words = GLOVE_WORDS if words is None else words
    matrix = np.random.default_rng(seed).normal(size=(len(words), dimensions))
    return "".join(
        word + " " + " ".join(f"{number:.5f}" for number in row) + "\n" for word, row in zip(words, matrix, strict=True)
    )
