"""A student's config.json as users write it: what no encoder can be built of is refused, with its name."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import BertConfig, GPT2Config

from distill.config_checks import check_buildable, check_sizes
from distill.errors import DistillError
from distill.shapes import student_config
from distill.student import start_config
from tests.distill.models import FAMILIES, tiny_encoder
from tests.fixtures import tiny_config


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hidden_size": 33}, "expected a hidden_size that its 4 attention heads divide; found 33"),
        ({"num_hidden_layers": 0}, "expected num_hidden_layers of at least 1; found 0"),
        ({"num_hidden_layers": -1}, "expected num_hidden_layers of at least 1; found -1"),
        ({"num_attention_heads": 0}, "expected num_attention_heads of at least 1; found 0"),
        ({"hidden_size": -32}, "expected hidden_size of at least 1; found -32"),
        ({"intermediate_size": 0}, "expected intermediate_size of at least 1; found 0"),
        ({"vocab_size": -1}, "expected vocab_size of at least 1"),
        ({"max_position_embeddings": 0}, "expected max_position_embeddings of at least 1"),
        ({"type_vocab_size": 0}, "expected type_vocab_size of at least 1"),
        ({"hidden_size": "32"}, "'hidden_size' expected int, got str (value: '32'). Correct its config.json."),
        ({"num_hidden_layers": 2.5}, "'num_hidden_layers' expected int, got float (value: 2.5). Correct its"),
        ({"num_attention_heads": True}, "'num_attention_heads' expected int, got bool (value: True). Correct its"),
        ({"id2label": ["a", "b"]}, "config.json; found"),
        ({"hidden_act": "gello"}, "no encoder can be built of it: unknown 'gello'"),
        ({"hidden_dropout_prob": 2}, "dropout probability has to be between 0 and 1, but got 2"),
        ({"pad_token_id": 10_000}, "no encoder can be built of it: Padding_idx must be within num_embeddings"),
        ({"is_decoder": True}, ": expected an encoder; found a decoder"),
        ({"position_embedding_type": "relative_key"}, "expected absolute position embeddings; found 'relative_key'"),
        ({"model_type": "gpt2"}, "expected an encoder of the families bert"),
        ({"model_type": "berd"}, "has model type `berd`"),
    ],
    ids=str,
)
def test_nonsense_is_refused_with_the_file_s_name(tmp_path, change, said):
    path = tmp_path / "student.json"
    path.write_text(json.dumps({**tiny_config().to_dict(), **change}))
    with pytest.raises(DistillError) as refusal:
        student_config(str(path), tiny_config())
    assert said in str(refusal.value)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_can_be_built_passes_and_is_left_as_it_was(family):
    config = tiny_encoder(family).config
    before, random = config.to_dict(), torch.get_rng_state()
    check_buildable(config, "student s")
    assert config.to_dict() == before
    assert torch.equal(torch.get_rng_state(), random)


def test_settings_are_named_as_the_family_names_them():
    config = tiny_encoder("distilbert").config
    config.dim = 30
    with pytest.raises(DistillError, match=r"student s: expected a dim that its 4 attention heads divide; found 30"):
        check_sizes(config, "student s")
    config.hidden_dim = 0
    with pytest.raises(DistillError, match="expected hidden_dim of at least 1"):
        check_sizes(config, "student s")


def test_a_start_of_wrong_types(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**tiny_config().to_dict(), "hidden_size": "32"}))
    with pytest.raises(DistillError, match=r"'hidden_size' expected int, got str .*Correct its config.json\.$"):
        start_config(str(tmp_path), tiny_config())


def test_sizes_of_models_as_they_are():
    for config in (BertConfig(), GPT2Config()):
        check_sizes(config, "teacher t")
