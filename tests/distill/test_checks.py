"""Preflight: vocabularies, labels, lengths, a teacher that learnt nothing."""

from __future__ import annotations

import pytest
from transformers import BertConfig, RobertaConfig

from distill.checks import (
    check_labels,
    check_length,
    check_vocabularies,
    check_vocabulary_size,
    usable_positions,
)
from distill.errors import DistillError
from distill.guessing import near_chance, uncorrelated
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


MNLI = ("entailment", "neutral", "contradiction")


def named(*labels: str) -> BertConfig:
    return BertConfig(id2label=dict(enumerate(labels)))


def said_of_labels(config: BertConfig, names: tuple[str, ...], task: str) -> str:
    with pytest.raises(DistillError) as refusal:
        check_labels(config, names, "model m", task)
    said = str(refusal.value)
    assert said.startswith(f"model m: expected the labels {', '.join(names)} of {task}; found ")
    assert "{" not in said
    return said


def order(config: BertConfig, names: tuple[str, ...]) -> tuple[int, ...]:
    return check_labels(config, names, "model m", "mnli")


def test_labels_that_fit():
    assert order(BertConfig(num_labels=3), MNLI) == (0, 1, 2)
    assert order(named("Entailment", "NEUTRAL", "contradiction"), MNLI) == (0, 1, 2)
    assert order(named("LABEL_1", "LABEL_0"), ("LABEL_0", "LABEL_1")) == (1, 0)


def test_labels_in_another_order_are_found_by_name():
    """Entailment is output 1 of the model, neutral 2, contradiction 0."""
    assert order(named("contradiction", "entailment", "neutral"), MNLI) == (1, 2, 0)
    assert order(named("Contradiction", "ENTAILMENT", "neutral"), MNLI) == (1, 2, 0)


def test_labels_that_differ_by_case_alone():
    assert order(named("spam", "Spam", "ham"), ("Spam", "ham", "spam")) == (1, 2, 0)
    with pytest.raises(DistillError, match="found spam, Ham, ham"):
        order(named("spam", "Ham", "ham"), ("Spam", "ham", "spam"))


def test_labels_of_another_task():
    other = said_of_labels(named("entailment", "not_entailment"), ("negative", "positive"), "sst2")
    assert "found entailment, not_entailment. It was trained on another task: give one for sst2" in other
    assert "id2label" not in other
    fewer = said_of_labels(named("no", "yes"), MNLI, "mnli")
    assert "found 2 (no, yes). It lacks entailment, neutral, contradiction. Give a model for mnli" in fewer
    with pytest.raises(DistillError, match=r"model m: expected different labels; found yes twice\. Correct its"):
        check_labels(named("yes", "yes", "no"), MNLI, "model m", "mnli")


def test_lengths():
    check_length(BertConfig(), 512, "teacher")
    with pytest.raises(DistillError, match=r"at most 512.*teacher; found 513"):
        check_length(BertConfig(), 513, "teacher")
    roberta = RobertaConfig(max_position_embeddings=514, pad_token_id=1)
    check_length(roberta, 512, "teacher")
    with pytest.raises(DistillError, match="at most 512"):
        check_length(roberta, 513, "teacher")


def test_positions_that_texts_can_use():
    assert usable_positions(BertConfig(max_position_embeddings=512)) == 512
    assert usable_positions(RobertaConfig(max_position_embeddings=514, pad_token_id=1)) == 512
    assert usable_positions(RobertaConfig(max_position_embeddings=1, pad_token_id=1)) == 0


@pytest.mark.parametrize(
    ("accuracy", "counts", "near"),
    [
        (0.51, (50, 50), True),
        (0.6, (50, 50), False),  # 50.2 to 69.1
        (0.6, (48, 52), True),  # the same interval includes 52
        (0.56, (48, 52), True),
        (0.4, (50, 50), True),
        (0.7, (69, 31), True),
        (0.53, (436, 436), True),  # SST-2's 872 rows: 49.7 to 56.3
        (0.55, (436, 436), False),  # 51.7 to 58.3
        (0.64, (25_000, 15_000), True),  # outside of its interval, but closer than two points
        (0.66, (25_000, 15_000), False),
    ],
)
def test_near_chance(accuracy, counts, near):
    assert near_chance(accuracy, counts) == near


@pytest.mark.parametrize(
    ("value", "rows", "near"),
    [
        (0.0, 1500, True),
        (0.09, 1500, True),
        (0.11, 1500, False),
        (0.15, 100, True),
        (0.25, 100, False),
        (-0.9, 50, True),
    ],
)
def test_uncorrelated(value, rows, near):
    assert uncorrelated(value, rows) == near
