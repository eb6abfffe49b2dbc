"""What a cache keeps: what is wanted of the layers, each of them once, and logits that no layer map changes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from distill.cache_format import CacheContent
from distill.errors import DistillError
from distill.shards import Position
from distill.targets import Targets, cache_key, fill_cache
from distill.teacher import Teacher, Wanted
from tests.distill.data import open_stream
from tests.distill.models import tiny_encoder
from tests.distill.test_teacher_cache import ALL, open_cache


@pytest.fixture(scope="module")
def stream(data):
    return open_stream(data)


@pytest.mark.parametrize(("content", "values"), [("hidden", (0, 32)), ("scores", (4, 0)), ("logits", (0, 0))])
def test_what_no_loss_uses_is_neither_asked_for_nor_kept(stream, tmp_path, monkeypatch, content, values):
    teacher, asked = Teacher(tiny_encoder(), (2, 4)), []
    real = teacher.targets
    monkeypatch.setattr(teacher, "targets", lambda batch, wanted: asked.append(wanted) or real(batch, wanted))
    cache = open_cache(tmp_path, teacher, stream, content)
    fill_cache(Targets(teacher, cache), stream)
    kept = CacheContent(content)
    assert set(asked) == {Wanted(True, kept.hidden, kept.scores)}
    lengths = np.concatenate([batch.mask.sum(-1) for batch in stream.batches(Position())])
    heads, width = values
    theory = int((2 * (2 + 2 * heads * lengths**2 + 2 * lengths * width)).sum())
    assert sum(path.stat().st_size for path in tmp_path.glob("*.bin")) == theory


def test_a_layer_mapped_twice_is_kept_once(stream, tmp_path):
    once, twice = Teacher(tiny_encoder(), (2, 4)), Teacher(tiny_encoder(), (4, 2, 4))
    assert cache_key(once, stream, "full") == cache_key(twice, stream, "full")
    cache = open_cache(tmp_path, twice, stream)
    batches = list(stream.batches(Position()))
    cold = [Targets(twice, cache)(batch, ALL) for batch in batches]
    fill_cache(Targets(twice, cache), stream)
    assert cache.complete
    for batch, before in zip(batches, cold, strict=True):
        warm, other = Targets(twice, cache)(batch, ALL), Targets(once, open_cache(tmp_path, once, stream))(batch, ALL)
        for name in ("hidden", "scores"):
            second, first, again = getattr(warm, name)
            assert all(torch.equal(a, b) for a, b in zip(getattr(before, name), (second, first, again), strict=True))
            assert all(torch.equal(a, b) for a, b in zip(getattr(other, name), (first, second), strict=True))
            assert torch.equal(second, again)


def test_logits_do_not_depend_on_the_layer_map(stream, tmp_path):
    maps = [Teacher(tiny_encoder(), layers) for layers in ((2, 4), (1, 3), ())]
    fill_cache(Targets(maps[0], open_cache(tmp_path, maps[0], stream, "logits")), stream)
    assert all(open_cache(tmp_path, teacher, stream, "logits").complete for teacher in maps)


def test_a_cache_of_another_format_is_refused(stream, tmp_path):
    teacher = Teacher(tiny_encoder(), (2, 4))
    key = {**cache_key(teacher, stream, "full").as_json(), "format": 1, "layers": [2, 4, 4]}
    (tmp_path / "cache.json").write_text(json.dumps(key))
    with pytest.raises(DistillError, match="found one with format 1, now 2"):
        open_cache(tmp_path, teacher, stream)
