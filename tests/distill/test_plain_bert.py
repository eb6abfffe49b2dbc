"""BERT's layers as a plain function, against transformers' own."""

from __future__ import annotations

import pytest
import torch

from distill.cast_weights import CastWeights
from distill.inputs import batch_tensors
from distill.losses import LossSettings, stacked_losses
from distill.objectives import IntermediateStage
from distill.outputs import encoder_outputs, model_logits, raw_scores_attention, record_scores
from distill.plain_bert import is_plain, plain_outputs
from distill.precision import Precision, autocast
from distill.shards import Position
from tests.distill.data import open_stream
from tests.distill.models import tiny_batch, tiny_encoder
from tests.distill.runs import tiny_pair

BATCHES = {"padded": tiny_batch((7, 4, 1)), "whole": {"input_ids": tiny_batch((5, 5))["input_ids"]}}
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def gradients(model, states) -> dict[str, torch.Tensor]:
    """Of a sum over states in which every number counts otherwise."""
    model.zero_grad()
    total = sum(((number + 1) * one).sin().sum() for number, one in enumerate(states))
    total.backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("kind", BATCHES)
def test_states_scores_and_gradients_are_those_of_transformers(kind):
    batch = BATCHES[kind]
    model = tiny_encoder(**STILL).double().train()
    record_scores(model, (2, 4))
    own = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()
    added = {} if kind == "whole" else {"attention_mask": torch.where(own, 0.0, -1e30).double()[:, None, None, :]}
    inputs = {**batch, **added}
    plain = plain_outputs(model.base_model, inputs, raw_scores_attention, torch.float64)
    whole = encoder_outputs(model, batch, head=False)
    assert [scores is not None for scores in plain.attentions] == [False, True, False, True]
    pairs = own[:, None, :, None] & own[:, None, None, :]
    for number in (2, 4):
        seen = pairs.expand_as(whole.scores[number])
        torch.testing.assert_close(plain.attentions[number - 1][seen], whole.scores[number][seen])
    for mine, theirs in zip(plain.hidden_states, whole.hidden, strict=True):
        torch.testing.assert_close(mine[own], theirs[own])
    assert plain.last_hidden_state is plain.hidden_states[-1]
    mine, theirs = (gradients(model, [one[own] for one in states]) for states in (plain.hidden_states, whole.hidden))
    assert set(mine) == set(theirs)
    for name, gradient in theirs.items():
        torch.testing.assert_close(mine[name], gradient, msg=name)


@pytest.mark.parametrize("kind", BATCHES)
def test_training_in_bf16_is_near_evaluation(kind, monkeypatch):
    """Without dropout they compute the same; only training goes the plain way."""
    batch, model = BATCHES[kind], tiny_encoder(**STILL)
    record_scores(model, (1,))
    seen, real = [], plain_outputs
    monkeypatch.setattr("distill.outputs.plain_outputs", lambda *given: seen.append(model.training) or real(*given))
    with autocast(Precision.BF16, model.device):
        evaluated, logits = encoder_outputs(model, batch, head=False), model_logits(model, batch)
        model.train()
        trained, plain_logits = encoder_outputs(model, batch, head=False), model_logits(model, batch)
    assert seen == [True, True]
    own = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()
    for mine, theirs in zip(trained.hidden, evaluated.hidden, strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine[own], theirs[own].float(), rtol=0.05, atol=0.05)
    assert trained.scores[1].dtype == torch.bfloat16
    torch.testing.assert_close(plain_logits, logits, rtol=0.05, atol=0.05)


def test_layers_that_are_otherwise_are_left_to_transformers():
    class Adapted(torch.nn.Linear):
        pass

    assert is_plain(tiny_encoder())
    assert not is_plain(tiny_encoder("roberta"))
    adapted = tiny_encoder()
    adapted.bert.encoder.layer[0].attention.self.query = Adapted(32, 32)
    assert not is_plain(adapted)
    model = tiny_encoder()
    model.gradient_checkpointing_enable()
    assert not is_plain(model)


def test_dropout_is_drawn_in_training_alone():
    model, inputs = tiny_encoder(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.0), BATCHES["whole"]
    record_scores(model, ())
    found = []
    for training in (True, True, False, False):
        model.train(training)
        with torch.no_grad():
            found.append(plain_outputs(model.base_model, inputs, raw_scores_attention, torch.float32).last_hidden_state)
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found[2], found[3])


@pytest.mark.parametrize("losses", [LossSettings(), LossSettings(hidden=False)])
def test_gradients_in_bf16_are_those_of_transformers(data, losses, monkeypatch):
    """With all weights cast at once; where scores alone are compared, nothing reaches the last layer's values."""
    student, teacher = tiny_pair()
    stage = IntermediateStage(student, teacher, losses)
    cast, found, values = CastWeights(stage, torch.bfloat16), [], []
    batch = next(iter(open_stream(data).batches(Position())))
    given, tensors = teacher.targets(batch, stage.wanted), batch_tensors(batch, stage.model.device)
    for plain in (True, False):
        if not plain:
            monkeypatch.setattr("distill.outputs.is_plain", lambda _: False)
        stage.zero_grad(set_to_none=True)
        with autocast(Precision.BF16, stage.model.device):
            total = stacked_losses(cast(tensors.inputs(stage.model), given, None)).sum()
        total.backward()
        values.append(total.item())
        found.append({name: one.grad for name, one in stage.named_parameters() if one.grad is not None})
    assert values[0] == pytest.approx(values[1], rel=1e-2)
    assert set(found[0]) == set(found[1])
    for name, gradient in found[1].items():
        torch.testing.assert_close(found[0][name], gradient, rtol=0, atol=0.02 * gradient.abs().max().item() + 1e-4)
