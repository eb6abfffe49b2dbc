"""Models of every family as ONNX: the logits of torch at any number of rows and tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.onnx_model import OnnxModel, input_names, write_onnx
from distill.outputs import model_logits
from tests.distill.models import FAMILIES, tiny_batch, tiny_encoder
from tests.foreign import foreign_classifier

TWINS = {"camembert", "data2vec-text", "ernie", "xlm-roberta"}  # share their code with bert and roberta


@pytest.mark.parametrize("family", [*(family for family in FAMILIES if family not in TWINS), "albert", "deberta-v2"])
def test_logits_of_a_family(family, tmp_path):
    foreign = family in ("albert", "deberta-v2")
    layers = 2 if family == "modernbert" else 1  # of both its kinds
    model = foreign_classifier(family) if foreign else tiny_encoder(family, num_hidden_layers=layers, num_labels=3)
    write_onnx(model.eval(), tmp_path / "model.onnx")
    made = OnnxModel(tmp_path / "model.onnx", model.config)
    assert [one.name for one in made.session.get_inputs()] == [*input_names(model)]
    for lengths in ((1,), (5, 9), (60, 17, 3, 60)):
        inputs = tiny_batch(lengths, pad=model.config.pad_token_id or 0)
        inputs["input_ids"].clamp_(max=model.config.vocab_size - 1)
        if "token_type_ids" in input_names(model):
            inputs["token_type_ids"] = torch.arange(max(lengths)).expand_as(inputs["input_ids"]) % 2
        with torch.no_grad():
            wanted = model(**inputs).logits
        np.testing.assert_allclose(model_logits(made, inputs).numpy(), wanted.numpy(), atol=1e-4)
