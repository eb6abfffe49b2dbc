"""Raw scores, hidden states and logits against eager attention and hand computation."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertModel, GPT2Config, GPT2Model

from distill.errors import DistillError
from distill.families import attention_window
from distill.outputs import (
    embedding_output,
    encoder_outputs,
    model_logits,
    raw_scores_attention,
    record_scores,
    recorded_layers,
)
from tests.distill.models import FAMILIES, tiny_batch, tiny_encoder

BATCH = tiny_batch((7, 4, 1), pad=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_output_equals_the_ordinary_model(family, monkeypatch):
    model = tiny_encoder(family)
    before_softmax, softmax = [], torch.nn.functional.softmax
    monkeypatch.setattr(
        torch.nn.functional, "softmax", lambda x, *a, **k: before_softmax.append(x.clone()) or softmax(x, *a, **k)
    )
    with torch.no_grad():
        model.set_attn_implementation("eager")
        eager = model(**BATCH, output_hidden_states=True, output_attentions=True)
        monkeypatch.undo()
        record_scores(model, (2, 4))
        ours = encoder_outputs(model, BATCH)
        own = BATCH["attention_mask"].bool()
        assert torch.allclose(ours.logits, eager.logits, atol=1e-5)
        assert torch.allclose(ours.logits, model_logits(model, BATCH), atol=1e-5)
        assert len(ours.hidden) == len(eager.hidden_states) == 5
        for mine, theirs in zip(ours.hidden, eager.hidden_states, strict=True):
            assert torch.allclose(mine[own], theirs[own], atol=1e-5)
        assert set(ours.scores) == {2, 4}
        for layer, scores in ours.scores.items():
            seen = own[:, None, None, :] & own[:, None, :, None]
            if window := attention_window(model.config, layer):  # ModernBERT's layers 2 and 3
                place = torch.arange(7)
                seen = seen & ((place[:, None] - place).abs() <= window)
            seen = seen.expand_as(scores)
            assert torch.allclose(scores[seen], before_softmax[layer - 1][seen], atol=1e-4)
            weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
            assert torch.allclose(weights[seen], eager.attentions[layer - 1][seen], atol=1e-5)
        assert torch.allclose(embedding_output(model, BATCH), ours.hidden[0], atol=1e-6)


@pytest.mark.parametrize(
    ("family", "pooling"),
    [("modernbert", "cls"), ("modernbert", "mean"), ("eurobert", "bos"), ("eurobert", "mean"), ("eurobert", "late")],
)
@pytest.mark.parametrize("batch", [BATCH, {"input_ids": BATCH["input_ids"]}])
def test_heads_that_pool_otherwise(family, pooling, batch):
    model = tiny_encoder(family, classifier_pooling=pooling)
    with torch.no_grad():
        expected = model(**batch).logits
        record_scores(model, (2,))
        assert torch.allclose(encoder_outputs(model, batch).logits, expected, atol=1e-5)
        assert torch.allclose(model_logits(model, batch), expected, atol=1e-5)


def test_scores_are_queries_times_keys_over_root_d():
    model = tiny_encoder()
    record_scores(model, (3,))
    with torch.no_grad():
        ours = encoder_outputs(model, BATCH, head=False)
        attention = model.bert.encoder.layer[2].attention.self
        query, key = attention.query(ours.hidden[2]), attention.key(ours.hidden[2])
    assert ours.logits is None
    for row in range(3):
        for head in range(4):
            part = slice(8 * head, 8 * head + 8)
            by_hand = query[row, :, part] @ key[row, :, part].T / 8**0.5
            assert torch.allclose(ours.scores[3][row, head], by_hand, atol=1e-5)


def test_only_mapped_layers_leave_the_fused_kernel(monkeypatch):
    calls = []
    real = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or real(*a, **k)
    )
    model = tiny_encoder()
    record_scores(model, (2,))
    encoder_outputs(model, BATCH)
    assert recorded_layers(model) == (2,)
    assert len(calls) == 3
    record_scores(model, ())
    assert encoder_outputs(model, BATCH).scores == {}
    assert len(calls) == 3 + 4


def test_asking_for_scores_does_not_warn(caplog):
    model = tiny_encoder()
    record_scores(model, (2,))
    with caplog.at_level("WARNING", "transformers"):
        encoder_outputs(model, BATCH)
    assert "does not support" not in caplog.text


def test_gradients_pass_through_the_scores():
    model = tiny_encoder()
    record_scores(model, (1,))
    encoder_outputs(model, BATCH, head=False).scores[1].square().sum().backward()
    first = model.bert.encoder.layer[0].attention.self
    assert first.query.weight.grad.abs().sum() > 0
    assert first.value.weight.grad is None


def test_default_scale_and_no_mask():
    module = torch.nn.Module()
    module.record_raw_scores = True
    query, key, value = torch.randn(3, 2, 4, 5, 16).unbind()
    output, scores = raw_scores_attention(module, query, key, value, None)
    assert torch.allclose(scores, query @ key.transpose(2, 3) / 4)
    assert torch.allclose(output, (scores.softmax(-1) @ value).transpose(1, 2), atol=1e-6)


def test_the_saved_model_knows_nothing_of_us(tmp_path):
    model = tiny_encoder()
    record_scores(model, (1, 2))
    model.save_pretrained(tmp_path)
    assert "tinyaug" not in (tmp_path / "config.json").read_text()
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert again.config._attn_implementation == "sdpa"


def test_refusals_name_what_is_wrong():
    with pytest.raises(DistillError, match=r"GPT2Model: expected an encoder .* found the type 'gpt2'"):
        record_scores(GPT2Model(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=20)), (1,))
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 20}
    decoder = BertModel(BertConfig(**small, is_decoder=True))
    with pytest.raises(DistillError, match="decoder"):
        record_scores(decoder, (1,))
    relative = BertModel(BertConfig(**small, position_embedding_type="relative_key"))
    with pytest.raises(DistillError, match="relative_key"):
        record_scores(relative, (1,))
    with pytest.raises(DistillError, match=r"between 1 and 4; found \[0, 5\]"):
        record_scores(tiny_encoder(), (0, 2, 5))
    with pytest.raises(DistillError, match="record_scores"):
        encoder_outputs(tiny_encoder(), BATCH)
