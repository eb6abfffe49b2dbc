"""Student shapes, starts and projections."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig

from distill.errors import DistillError
from distill.outputs import encoder_outputs, record_scores
from distill.projections import PROJECTIONS_FILE, Projections, load_projections, save_projections
from distill.shapes import student_config
from distill.student import build_student
from tests.distill.models import FAMILIES, tiny_batch, tiny_encoder


@pytest.fixture
def small_config(tmp_path):
    """A two-layer student as wide as the tiny teacher."""
    path = tmp_path / "small.json"
    path.write_text(json.dumps(tiny_encoder().config.to_dict() | {"num_hidden_layers": 2}))
    return str(path)


def test_the_paper_s_shapes():
    teacher = BertConfig(num_labels=3, id2label={0: "a", 1: "b", 2: "c"})
    config = student_config("tinybert4", teacher)
    found = config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.num_attention_heads
    assert found == (4, 312, 1200, 12)
    assert config.id2label == {0: "a", 1: "b", 2: "c"}
    assert config.vocab_size == 30522
    config = student_config("tinybert6", teacher)
    found = config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.num_attention_heads
    assert found == (6, 768, 3072, 12)


@pytest.mark.parametrize("family", FAMILIES)
def test_half_is_the_teacher_s_shape_with_half_its_layers(family):
    teacher = tiny_encoder(family)
    layers = teacher.config.num_hidden_layers
    student = build_student("half", "teacher-layers", teacher, range(1, layers // 2 + 1)).model
    assert student.config.num_hidden_layers == layers // 2
    assert teacher.config.num_hidden_layers == layers
    shapes = {name: tensor.shape for name, tensor in teacher.state_dict().items()}
    assert all(shapes[name] == tensor.shape for name, tensor in student.state_dict().items())


def test_half_is_rounded_down_and_needs_two_layers():
    assert student_config("half", BertConfig(num_hidden_layers=5)).num_hidden_layers == 2
    with pytest.raises(DistillError, match="at least 2 layers"):
        student_config("half", BertConfig(num_hidden_layers=1))


def test_the_small_student_has_14_5_million_parameters():
    with torch.device("meta"):
        from transformers import BertForSequenceClassification

        model = BertForSequenceClassification(student_config("tinybert4", BertConfig()))
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) in (14.3, 14.4, 14.5)


@pytest.mark.parametrize("family", FAMILIES)
def test_teacher_layers(family, tmp_path):
    teacher = tiny_encoder(family)
    path = tmp_path / "config.json"
    config = teacher.config.to_dict() | {"num_hidden_layers": 2, "n_layers": 2}
    if "layer_types" in config:
        config["layer_types"] = config["layer_types"][:2]
    path.write_text(json.dumps(config))
    student = build_student(str(path), "teacher-layers", teacher, (2, 4))
    mine, theirs = student.model.state_dict(), teacher.state_dict()
    for name, tensor in mine.items():
        source = re.sub(
            r"(?<=layer\.)[01]\.|(?<=layers\.)[01]\.", lambda found: {"0.": "1.", "1.": "3."}[found[0]], name
        )
        assert torch.equal(tensor, theirs[source])
    assert torch.equal(student.projections.W_h, torch.eye(32))
    assert student.model.training


def test_random_is_seeded_and_leaves_the_global_state(small_config):
    teacher = tiny_encoder()
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    first = build_student(small_config, "random", teacher, (2, 4), seed=1).model.state_dict()
    assert torch.equal(torch.rand(1), before)
    again = build_student(small_config, "random", teacher, (2, 4), seed=1).model.state_dict()
    other = build_student(small_config, "random", teacher, (2, 4), seed=2).model.state_dict()
    name = "bert.encoder.layer.0.output.dense.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])


def test_folder_start_takes_weights_and_projections(small_config, tmp_path):
    teacher = tiny_encoder()
    general = build_student(small_config, "random", teacher, (2, 4), seed=3)
    with torch.no_grad():
        general.projections.W_h.add_(1.0)
    folder = tmp_path / "general"
    general.model.bert.save_pretrained(folder)  # an encoder without a head, as general distillation leaves it
    save_projections(general.projections, folder)
    student = build_student(small_config, str(folder), teacher, (2, 4))
    name = "bert.encoder.layer.1.attention.self.query.weight"
    assert torch.equal(student.model.state_dict()[name], general.model.state_dict()[name])
    assert torch.equal(student.projections.W_h, general.projections.W_h)
    assert student.model.config.num_labels == teacher.config.num_labels


def test_a_start_with_holes_is_refused(small_config, tmp_path):
    teacher = tiny_encoder()
    folder = tmp_path / "holes"
    build_student(small_config, "random", teacher, (2, 4)).model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["bert.encoder.layer.1.output.dense.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DistillError, match="1 tensors are missing"):
        build_student(small_config, str(folder), teacher, (2, 4))


def test_refusals(small_config, tmp_path):
    teacher = tiny_encoder()
    with pytest.raises(DistillError, match="hf download huawei-noah/TinyBERT_General_4L_312D"):
        build_student("tinybert4", "general", teacher, (1, 2, 3, 4))
    with pytest.raises(DistillError, match="published only for"):
        build_student(small_config, "general", teacher, (2, 4))
    with pytest.raises(DistillError, match=r"teacher's hidden_size \(32\).*found 312"):
        build_student("tinybert4", "teacher-layers", teacher, (1, 2, 3, 4))
    with pytest.raises(DistillError, match=r"config\.json; found 'tinybert5'"):
        build_student("tinybert5", "random", teacher, (1, 2, 3, 4))
    build_student(small_config, "random", teacher, (2, 4)).model.save_pretrained(tmp_path / "two")
    with pytest.raises(DistillError, match="num_hidden_layers 4"):
        build_student("tinybert4", str(tmp_path / "two"), teacher, (1, 2, 3, 4))


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_a_start_of_another_feed_forward_size_is_refused(tmp_path, family):
    teacher = tiny_encoder(family)
    name = "hidden_dim" if family == "distilbert" else "intermediate_size"
    shape = tmp_path / "shape.json"
    shape.write_text(json.dumps(teacher.config.to_dict()))
    wide = tmp_path / "wide.json"
    wide.write_text(json.dumps(teacher.config.to_dict() | {name: 48}))
    build_student(str(wide), "random", teacher, (1, 2, 3, 4)).model.save_pretrained(tmp_path / "start")
    with pytest.raises(DistillError, match="expected feed-forward size 64 as the chosen student has; found 48 in"):
        build_student(str(shape), str(tmp_path / "start"), teacher, (1, 2, 3, 4))
    build_student(str(wide), str(tmp_path / "start"), teacher, (1, 2, 3, 4))


def test_projections_file(tmp_path, caplog):
    projections = Projections(4, 6, seed=1)
    assert load_projections(tmp_path, 4, 6) is None
    save_projections(projections, tmp_path)
    assert set(load_file(tmp_path / PROJECTIONS_FILE)) == {"W_h", "W_e"}
    again = load_projections(tmp_path, 4, 6)
    assert torch.equal(again.W_e, projections.W_e)
    assert not caplog.records
    assert load_projections(tmp_path, 4, 8) is None
    assert "made for widths (4, 6), not (4, 8); the projections start afresh" in caplog.text
    states = torch.randn(2, 3, 4)
    assert torch.equal(again.hidden([states])[0], states @ projections.W_h)
    assert torch.equal(again.embedding(states), states @ projections.W_e)
    (tmp_path / PROJECTIONS_FILE).write_bytes(b"nonsense")
    with pytest.raises(DistillError, match="cannot be read"):
        load_projections(tmp_path, 4, 6)


@pytest.mark.parametrize("family", FAMILIES)
def test_named_shapes_of_every_family(family):
    teacher = tiny_encoder(family, num_attention_heads=4)
    if family == "mobilebert":
        with pytest.raises(DistillError, match=r"expected a student of half, layers:N or a config.json for a Mobile"):
            student_config("tinybert4", teacher.config)
    else:
        student = build_student("tinybert4", "random", teacher, (1, 2, 3, 4))
        record_scores(student.model, (4,))
        found = encoder_outputs(student.model, tiny_batch())
        assert found.scores[4].shape == (3, 12, 7, 7)
        assert found.hidden[4].shape == (3, 7, 312)
    student = build_student("layers:3", "teacher-layers", teacher, (1, 2, 4))
    assert encoder_outputs(_ready(student.model), tiny_batch()).logits.shape == (3, 2)


def test_layers_that_are_taken_over_keep_their_windows():
    teacher = tiny_encoder("modernbert")
    assert student_config("half", teacher.config).layer_types == ["full_attention", "sliding_attention"]
    student = build_student("half", "teacher-layers", teacher, (2, 4))
    assert student.model.config.layer_types == ["sliding_attention", "full_attention"]


def _ready(model):
    record_scores(model, (1,))
    return model
