"""Preflight: vocabularies, labels, lengths, a teacher that learnt nothing."""

from __future__ import annotations

import pytest
from transformers import BertConfig, RobertaConfig

from distill.checks import check_labels, check_length, check_vocabularies, check_vocabulary_size, near_chance
from distill.errors import DistillError
from tests.fixtures import tiny_config, tiny_tokenizer


def test_vocabularies():
    check_vocabularies(tiny_tokenizer(), tiny_tokenizer())
    other = tiny_tokenizer()
    other.add_tokens(["zzz"])
    with pytest.raises(DistillError, match=r"'zzz' is number None and \d+"):
        check_vocabularies(tiny_tokenizer(), other)
    check_vocabulary_size(tiny_config(), tiny_tokenizer(), "student")
    with pytest.raises(DistillError, match="in the student, one a token; found 10"):
        check_vocabulary_size(tiny_config(vocab_size=10), tiny_tokenizer(), "student")


def test_labels():
    plain = BertConfig(num_labels=3)
    named = BertConfig(id2label={0: "entailment", 1: "neutral", 2: "contradiction"})
    turned = BertConfig(id2label={0: "contradiction", 1: "entailment", 2: "neutral"})
    check_labels(plain, named, ["Entailment", "neutral", "contradiction"])
    with pytest.raises(DistillError, match="labels in one order"):
        check_labels(turned, plain, ["entailment", "neutral", "contradiction"])
    with pytest.raises(DistillError, match=r"one number of labels.*'data': 2"):
        check_labels(named, named, ["no", "yes"])


def test_lengths():
    check_length(BertConfig(), 512, "teacher")
    with pytest.raises(DistillError, match=r"at most 512.*teacher; found 513"):
        check_length(BertConfig(), 513, "teacher")
    roberta = RobertaConfig(max_position_embeddings=514, pad_token_id=1)
    check_length(roberta, 512, "teacher")
    with pytest.raises(DistillError, match="at most 512"):
        check_length(roberta, 513, "teacher")


def test_near_chance():
    assert near_chance(0.51, (50, 50))
    assert not near_chance(0.6, (50, 50))
    assert near_chance(0.7, (69, 31))
