"""What a teacher is known by: whatever decides its outputs, and nothing else."""

from __future__ import annotations

import pytest
import torch

from distill.shards import Position
from distill.teacher import Teacher, Wanted, weights_fingerprint
from tests.distill.data import open_stream
from tests.distill.models import FAMILIES, tiny_encoder


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [
        ("distilbert", "activation", "relu"),
        ("distilbert", "n_heads", 2),
        ("bert", "hidden_act", "relu"),
        ("bert", "is_decoder", True),
        ("electra", "layer_norm_eps", 1e-5),
        ("roberta", "pad_token_id", 2),
    ],
)
def test_settings_that_decide_outputs_count(family, name, value):
    model = tiny_encoder(family)
    before = weights_fingerprint(model)
    setattr(model.config, name, value)
    assert weights_fingerprint(model) != before


@pytest.mark.parametrize("family", FAMILIES)
def test_names_and_versions_do_not(family):
    model = tiny_encoder(family)
    before = weights_fingerprint(model)
    model.config.id2label = {0: "no", 1: "yes"}
    model.config.transformers_version, model.config._name_or_path = "9.9", "/elsewhere"
    model.config.architectures, model.config.is_decoder = ["Mine"], False
    assert weights_fingerprint(model) == before


def test_layers_leave_the_fused_kernel_only_while_scores_are_wanted(data, monkeypatch):
    fused = []
    real = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", lambda *a, **k: fused.append(1) or real(*a, **k)
    )
    teacher, batch = Teacher(tiny_encoder(), (2, 4)), next(open_stream(data).batches(Position()))
    for wanted, layers in (
        (Wanted(logits=True), 4),
        (Wanted(logits=True, scores=True), 2),
        (Wanted(hidden=True), 4),
        (Wanted(hidden=True, scores=True), 2),
        (Wanted(logits=True), 4),
    ):
        del fused[:]
        found = teacher.targets(batch, wanted)
        assert len(fused) == layers
        assert (len(found.scores), len(found.hidden)) == (2 * wanted.scores, 2 * wanted.hidden)
