"""BiLSTM_soft: its sizes, its equations by hand, its words, and how it is saved and trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from distill.bilstm import (
    BiLstmConfig,
    BiLstmForSequenceClassification,
    BiLstmStage,
    build_bilstm,
)
from distill.errors import DistillError
from distill.evaluation import predict
from distill.losses import score_loss
from distill.precision import Precision
from distill.shards import OtherTokens, ShardStream
from distill.targets import Targets
from distill.teacher import Teacher, TeacherTargets
from distill.tokens import tokenizer_json
from distill.training import train
from distill.training_settings import TrainSettings
from distill.word_tokens import word_splitter, word_tokenizer, words_of
from tests.distill.data import COLUMNS, open_stream
from tests.distill.models import tiny_encoder
from tests.fixtures import WHOLE_WORDS, tiny_tokenizer


def small(pairs: bool = False, words: list[str] = WHOLE_WORDS, seed: int = 0):
    """A student of 3 units a direction over vectors of 5 numbers, and its tokenizer."""
    tokenizer = word_tokenizer(words, lowercase=True)
    vectors = np.random.default_rng(seed).normal(size=(len(tokenizer), 5)).astype(np.float32)
    config = BiLstmConfig(vocab_size=len(tokenizer), embedding_size=5, hidden_size=3, relu_units=4, pairs=pairs)
    return build_bilstm(config, vectors, seed), tokenizer


@pytest.mark.parametrize(
    ("sizes", "parameters", "embeddings"),
    [
        ({}, 9_820_202, 9_156_600),
        ({"pairs": True}, 10_180_202, 9_156_600),
        ({"hidden_size": 200}, 10_121_002, 9_156_600),  # Table 3's 10.1 M, but not its hidden size of 2 · 150
    ],
)
def test_parameters(sizes, parameters, embeddings):
    model = BiLstmForSequenceClassification(BiLstmConfig(**sizes))
    assert (model.num_parameters(), model.embeddings.weight.numel()) == (parameters, embeddings)


def test_the_loss_by_hand():
    found = score_loss(torch.tensor([[1.0, -1.0], [0.5, 0.5]]), torch.tensor([[3.0, 0.0], [0.5, 0.5]]))
    assert found.tolist() == [(4 + 1) / 2, 0.0]


def by_hand(model, ids: list[int]) -> torch.Tensor:
    """The last state of each direction, gate by gate."""
    lstm, states = model.lstm, []
    for suffix, order in (("", ids), ("_reverse", ids[::-1])):
        weights = [getattr(lstm, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        state = cell = torch.zeros(3)
        for number in order:
            gates = weights[0] @ model.embeddings.weight[number] + weights[2] + weights[1] @ state + weights[3]
            i, f, g, o = gates.chunk(4)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            state = torch.sigmoid(o) * torch.tanh(cell)
        states.append(state)
    return torch.cat(states)


@pytest.mark.parametrize("pairs", [False, True])
@torch.no_grad()
def test_the_network_by_hand(pairs):
    student, tokenizer = small(pairs)
    model = student.model.eval()
    texts = ["a film", "the plot is dull and slow", "zzz"]
    others = ["good", "it is not", ""]
    inputs = tokenizer(texts, others if pairs else None, padding=True, return_tensors="pt")
    expected = []
    for text, other in zip(texts, others, strict=True):
        found = by_hand(model, tokenizer(text)["input_ids"])
        if pairs:
            b = by_hand(model, tokenizer(other)["input_ids"])
            found = torch.cat([found, b, (found - b).abs(), found * b])
        expected.append(model.classifier(torch.relu(model.pre_classifier(found))))
    torch.testing.assert_close(model(**inputs).logits, torch.stack(expected), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_a_second_text_that_is_not_there_is_an_empty_one():
    student, tokenizer = small(pairs=True)
    model = student.model.eval()
    whole = model(**tokenizer([("a film", "")], return_tensors="pt")).logits
    torch.testing.assert_close(model(**tokenizer("a film", return_tensors="pt")).logits, whole)
    padded = tokenizer(["a film", "the plot is dull"], padding=True, return_tensors="pt")
    torch.testing.assert_close(model(**padded).logits[:1], whole)


def test_words_are_those_that_vectors_have():
    splitter = word_splitter(lowercase=True)
    assert words_of("It doesn't; it's well-made, 7/10…", splitter) == [
        "it", "does", "n't", ";", "it", "'s", "well", "-", "made", ",", "7", "/", "10", "…",
    ]  # fmt: skip
    assert words_of("can 't WON'T", splitter) == ["can", "'", "t", "wo", "n't"]
    assert words_of("Café", word_splitter(lowercase=False)) == ["Café"]
    assert words_of(" \n", splitter) == []


def test_a_text_without_words_has_a_token():
    _, tokenizer = small()
    assert tokenizer("")["input_ids"] == [2]
    assert tokenizer([("", "")])["token_type_ids"] == [[0, 1]]
    assert tokenizer("film xyzzy")["input_ids"] == [3 + WHOLE_WORDS.index("film"), 1, 2]


@pytest.mark.parametrize("pairs", [False, True])
def test_a_folder_loads_with_transformers_classes(tmp_path, pairs):
    student, tokenizer = small(pairs)
    student.model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, again = (one.from_pretrained(tmp_path) for one in (AutoModelForSequenceClassification, AutoTokenizer))
    inputs = again("a film", "the plot", return_tensors="pt") if pairs else again("a film", return_tensors="pt")
    torch.testing.assert_close(model(**inputs).logits, student.model.eval()(**inputs).logits)


def test_the_start_is_that_of_the_seed_and_the_vectors():
    one, other, third = small(seed=1)[0].model, small(seed=1)[0].model, small(seed=2)[0].model
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(one.classifier.weight, third.classifier.weight)
    with pytest.raises(DistillError, match=r"expected vectors \(5, 4\); found \(5, 3\)"):
        build_bilstm(BiLstmConfig(vocab_size=5, embedding_size=4), np.zeros((5, 3), np.float32))


def test_another_number_of_labels():
    with pytest.raises(DistillError, match="expected 3 labels as the teacher has; found 2"):
        BiLstmStage(small()[0], Teacher(tiny_encoder(num_labels=3)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_learns_in_the_loop_of_all_stages(data, tmp_path, precision):
    """Its logits come near those of a BERT of another vocabulary, on rows that are tokenised twice."""
    student, tokenizer = small()
    plain = open_stream(data)
    theirs = OtherTokens(tokenizer_json(tiny_tokenizer()), tiny_tokenizer().pad_token_id)
    stream = ShardStream(plain.files, COLUMNS, tokenizer_json(tokenizer), 0, plain.settings, other=theirs)
    teacher = Teacher(tiny_encoder(initializer_range=0.1))
    stage = BiLstmStage(student, teacher)
    expected = torch.from_numpy(predict(teacher.model, plain)[0])

    def distance() -> float:
        return float(score_loss(torch.from_numpy(predict(student.model, stream)[0]), expected).mean())

    before = distance()
    settings = TrainSettings(epochs=8, learning_rate=2e-2, cpu=True, precision=Precision(precision))
    state = train(stage, stream, Targets(teacher), tmp_path, settings)
    assert (state.step, state.graph_steps) == (104, 0)
    assert distance() < before / 2


def test_it_is_no_graph(data):
    assert BiLstmStage.captured is False
    student, tokenizer = small()
    stage = BiLstmStage(student, Teacher(tiny_encoder()))
    inputs = dict(tokenizer(["a film", "the"], padding=True, return_tensors="pt"))
    losses = stage(inputs, TeacherTargets(logits=torch.zeros(2, 2)), None)
    assert losses["prediction"].shape == (2,)
    losses["prediction"].sum().backward()
    assert all(one.grad is not None for one in stage.parameters() if one.requires_grad)
