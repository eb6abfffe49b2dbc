"""What a teacher is known by: whatever decides its outputs, and nothing else."""

from __future__ import annotations

import pytest

from distill.teacher import weights_fingerprint
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
