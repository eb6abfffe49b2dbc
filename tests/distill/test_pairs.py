"""Packed pairs in general distillation: their losses by plain code, and that the second segment's embedding learns."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from distill.cache_format import CacheMode
from distill.general import GeneralStage
from distill.losses import LossSettings
from distill.packing import Packing, pack
from distill.shards import Position
from distill.targets import Targets, cache_key, fill_cache
from distill.teacher import model_inputs
from distill.teacher_cache import TeacherCache
from distill.training import train
from tests.distill.test_general import pair, settings
from tests.distill.test_packing import FIRST, LAST, PAIRED, flat, stream_of, write_ids

SENTENCES = ([10, 11, 12], [20, 21], [30, 31], [40])


@pytest.fixture
def shards(tmp_path):
    """Packs forty documents of four sentences into as many sequences."""

    def write(share):
        rows = list(pack(flat([SENTENCES] * 40), Packing(12, FIRST, LAST, share)))
        return write_ids(tmp_path / f"{share}", [ids for ids, _ in rows], types=[types for _, types in rows])

    return write


def scores(layer, states):
    """Raw attention scores (h, l, l) of one sequence, by the layer's own matrices."""
    attention = layer.attention.self
    heads, size = attention.num_attention_heads, attention.attention_head_size
    query, key = (
        matrix(states).view(len(states), heads, size).transpose(0, 1) for matrix in (attention.query, attention.key)
    )
    return query @ key.transpose(1, 2) / math.sqrt(size)


def plain_losses(student, teacher, ids, types):
    """Eqs. 7, 8 and 9 of one sequence without padding."""
    given = {"input_ids": torch.tensor([ids]), "token_type_ids": torch.tensor([types])}
    mine, theirs = (model.base_model(**given, output_hidden_states=True) for model in (student.model, teacher.model))
    mine, theirs = ([states[0] for states in found.hidden_states] for found in (mine, theirs))
    attention = hidden = 0.0
    for layer, target in zip((1, 2), teacher.layer_map, strict=True):
        ours = scores(student.model.base_model.encoder.layer[layer - 1], mine[layer - 1])
        other = scores(teacher.model.base_model.encoder.layer[target - 1], theirs[target - 1])
        attention += float(((ours - other) ** 2).mean())
        hidden += float(((mine[layer] @ student.projections.W_h - theirs[target]) ** 2).mean())
    embedding = float(((mine[0] @ student.projections.W_e - theirs[0]) ** 2).mean())
    return {"embedding": embedding, "attention": attention, "hidden": hidden}


def test_losses_of_pairs_are_those_of_plain_code(shards):
    student, teacher = pair()
    stage = GeneralStage(student, teacher, LossSettings()).eval()
    batch = next(iter(stream_of(shards(0.5), PAIRED, batch_rows=40).batches(Position())))
    paired = batch.types.any(1)
    assert paired.any()
    assert not paired.all()
    with torch.no_grad():
        found = stage(model_inputs(batch, student.model), teacher.targets(batch, stage.wanted), None)
        for row in (int(paired.argmax()), int(paired.argmin())):
            own = batch.mask[row] == 1
            ids, types = batch.ids[row, own].tolist(), batch.types[row, own].tolist()
            expected = plain_losses(student, teacher, ids, types)
            assert {kind: float(losses[row]) for kind, losses in found.items()} == pytest.approx(expected, rel=1e-4)
            alike = plain_losses(student, teacher, ids, [0] * len(ids)) == pytest.approx(expected, rel=1e-4)
            assert alike == (not any(types))


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_second_segment_learns_from_pairs(shards, tmp_path, share):
    student, teacher = pair()
    stage, stream = GeneralStage(student, teacher, LossSettings()), stream_of(shards(share), PAIRED, batch_rows=40)
    weight = student.model.bert.embeddings.token_type_embeddings.weight
    before = weight.detach().clone()
    batch = next(iter(stream.batches(Position())))
    losses = stage(model_inputs(batch, student.model), teacher.targets(batch, stage.wanted), None)
    sum(losses.values()).sum().backward()
    assert weight.grad[0].any()
    assert bool(weight.grad[1].any()) == (share > 0)
    train(stage, stream, Targets(teacher), tmp_path / "stage", settings(max_steps=4))
    turned = 1 - cosine_similarity(weight.detach(), before)  # weight decay alone turns nothing
    assert turned[0] > 1e-4
    assert (turned[1] > 1e-4) == (share > 0)


def test_a_cache_has_the_teachers_states_of_pairs(shards, tmp_path):
    student, teacher = pair()
    stage, stream = GeneralStage(student, teacher, LossSettings()), stream_of(shards(0.5), PAIRED, batch_rows=40)
    key = cache_key(teacher, stream, CacheMode.FULL)
    assert key != cache_key(teacher, stream_of(shards(0.5)), CacheMode.FULL)  # whose teacher sees one segment
    kept = Targets(teacher, TeacherCache(tmp_path / "cache", key, [stream.files.sha256(0)], [len(stream)]))
    fill_cache(kept, stream)
    batch = next(iter(stream.batches(Position(epoch=1))))
    found, expected = kept(batch, stage.wanted), teacher.targets(batch, stage.wanted)
    own = torch.from_numpy(batch.mask == 1)
    for ours, theirs in zip(found.hidden, expected.hidden, strict=True):
        torch.testing.assert_close(ours[own], theirs[own], rtol=2e-3, atol=2e-3)
