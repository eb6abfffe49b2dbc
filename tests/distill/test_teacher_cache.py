"""The teacher and its cache: same values cold and warm, sizes as computed, nothing damaged is trusted."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from distill.cache_folder import empty_cache
from distill.cache_format import INDEX, CacheContent, CacheMode, default_budget, plan_cache
from distill.errors import DistillError
from distill.outputs import encoder_outputs
from distill.shards import Position
from distill.targets import Targets, cache_key, fill_cache, sample_lengths
from distill.teacher import Precision, Teacher, Wanted, model_inputs, weights_fingerprint
from distill.teacher_cache import TeacherCache
from tests.distill.data import open_stream, write_shards
from tests.distill.models import tiny_encoder

ALL = Wanted(logits=True, hidden=True, scores=True, embedding=True)


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    return open_stream(write_shards(tmp_path_factory.mktemp("data") / "shards"))


@pytest.fixture
def teacher():
    return Teacher(tiny_encoder(), (2, 4))


def open_cache(folder, teacher, stream, content=CacheMode.FULL, dtype="float16", **options):
    hashes = [stream.files.sha256(shard) for shard in range(3)]
    return TeacherCache(folder, cache_key(teacher, stream, content, dtype), hashes, (37, 50, 13), **options)


def tensors(targets) -> list[torch.Tensor]:
    found = [targets.logits, *targets.hidden, *targets.scores, targets.embedding]
    return [tensor for tensor in found if tensor is not None]


def test_a_full_cache_without_layers_is_refused(tmp_path, stream):
    teacher = Teacher(tiny_encoder(), ())
    with pytest.raises(DistillError, match="expected teacher layers to keep in a full cache; found none mapped"):
        Targets(teacher, open_cache(tmp_path, teacher, stream))
    fill_cache(Targets(teacher, open_cache(tmp_path / "logits", teacher, stream, CacheMode.LOGITS)), stream)


def test_teacher_is_frozen_and_in_eval_mode(stream, teacher):
    batch = next(stream.batches(Position()))
    teacher.model.train()
    targets = teacher.targets(batch, ALL)
    assert not teacher.model.training
    assert not any(p.requires_grad for p in teacher.model.parameters())
    assert not any(tensor.requires_grad for tensor in tensors(targets))
    direct = encoder_outputs(teacher.model, model_inputs(batch, teacher.model))
    assert torch.equal(targets.hidden[1], direct.hidden[4])
    assert torch.equal(targets.scores[0], direct.scores[2])
    assert torch.equal(targets.logits, direct.logits)


@pytest.mark.parametrize("content", CacheContent)
def test_cold_and_warm_give_the_same_numbers(stream, teacher, tmp_path, content):
    cache = open_cache(tmp_path, teacher, stream, content)
    targets = Targets(teacher, cache)
    batches = list(stream.batches(Position()))
    cold = [targets(batch, ALL) for batch in batches]
    assert not cache.complete
    cache.flush()
    cache.finish()
    again = open_cache(tmp_path, teacher, stream, content)
    assert again.complete
    warm = Targets(teacher, again)
    for batch, before in zip(batches, cold, strict=True):
        after = warm(batch, ALL)
        direct = teacher.targets(batch, ALL)
        own = torch.from_numpy(batch.mask).bool()
        assert all(torch.equal(a, b) for a, b in zip(tensors(before), tensors(after), strict=True))
        for mine, exact in zip(after.hidden, direct.hidden, strict=True):
            assert torch.allclose(mine[own], exact[own], rtol=2e-3, atol=1e-3)
        pairs = (own[:, :, None] & own[:, None, :])[:, None].expand(-1, 4, -1, -1)
        for mine, exact in zip(after.scores, direct.scores, strict=True):
            assert torch.allclose(mine[pairs], exact[pairs], rtol=2e-3, atol=1e-3)


def test_a_warm_cache_spares_the_teacher(stream, teacher, tmp_path, monkeypatch):
    cache = open_cache(tmp_path, teacher, stream)
    fill_cache(Targets(teacher, cache), stream)
    monkeypatch.setattr(teacher.model, "forward", None)
    monkeypatch.setattr(teacher.model.bert.encoder, "forward", None)
    batch = next(stream.batches(Position(1)))
    found = Targets(teacher, cache)(batch, ALL)
    assert found.embedding.shape == found.hidden[0].shape


def test_bytes_are_what_theory_says(stream, teacher, tmp_path):
    cache = open_cache(tmp_path, teacher, stream)
    fill_cache(Targets(teacher, cache), stream)
    lengths = np.concatenate([batch.mask.sum(-1) for batch in stream.batches(Position())])
    # 2 classes; 2 layers of 4 heads of l², and of l positions of 32 features; 2 bytes each.
    theory = int((2 * (2 + 2 * 4 * lengths**2 + 2 * 32 * lengths)).sum()) + 100 * INDEX.itemsize
    written = sum(p.stat().st_size for p in tmp_path.iterdir() if p.suffix in (".bin", ".idx"))
    assert written == theory
    plan = plan_cache(CacheMode.AUTO, sample_lengths(stream), 100, cache.key, 10**9)
    assert abs(plan.full_bytes / theory - 1) < 0.1
    assert plan.content is CacheContent.FULL
    assert "budget 1.0 GB" in str(plan)
    assert plan_cache(CacheMode.AUTO, lengths, 100, cache.key, theory - 1).content is CacheContent.LOGITS
    assert plan_cache(CacheMode.OFF, lengths, 100, cache.key, 0).content is CacheMode.OFF
    assert "(logits " in str(plan)
    silent = plan_cache(CacheMode.AUTO, lengths, 100, replace(cache.key, classes=0), 10**9)
    assert str(silent).startswith("teacher cache: full (attention scores and hidden states ")


def test_what_a_killed_epoch_has_written_is_taken_up(stream, teacher, tmp_path):
    batches = list(stream.batches(Position()))
    first = open_cache(tmp_path / "a", teacher, stream)
    for batch in batches[:8]:
        Targets(teacher, first)(batch, ALL)
    first.flush()
    second = open_cache(tmp_path / "a", teacher, stream)
    second.take_up()
    for batch in batches[5:]:  # from a checkpoint before the kill
        Targets(teacher, second)(batch, ALL)
    second.flush()
    second.finish()
    whole = open_cache(tmp_path / "b", teacher, stream)
    for batch in batches:
        Targets(teacher, whole)(batch, ALL)
    whole.flush()
    whole.finish()
    names = sorted(p.name for p in (tmp_path / "b").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "a").iterdir())
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)
    second.take_up()  # complete shards are left alone
    assert open_cache(tmp_path / "a", teacher, stream).complete


def test_ranks_write_side_by_side(stream, teacher, tmp_path):
    caches = [open_cache(tmp_path, teacher, stream, rank=rank) for rank in (0, 1)]
    for batch in stream.batches(Position()):
        for rank, cache in enumerate(caches):
            Targets(teacher, cache)(batch.part(rank, 2), ALL)
    for cache in caches:
        cache.flush()
    caches[0].finish()
    caches[1].refresh()
    assert caches[1].complete


def test_records_of_a_second_rank_outlive_going_on_without_it(stream, teacher, tmp_path):
    batches = list(stream.batches(Position()))

    def write(cache, batches, rank=0, ranks=1) -> None:
        for batch in batches:
            Targets(teacher, cache)(batch.part(rank, ranks), ALL)

    two = [open_cache(tmp_path, teacher, stream, rank=rank) for rank in (0, 1)]
    for rank, cache in enumerate(two):
        write(cache, batches[:4], rank, 2)
        cache.flush()
    for first, last in ((3, 6), (5, 8)):  # one rank goes on, twice, and sees a batch again
        alone = open_cache(tmp_path, teacher, stream)
        alone.take_up()
        write(alone, batches[first:last])
        alone.flush()
    two = [open_cache(tmp_path, teacher, stream, rank=rank) for rank in (0, 1)]
    for rank, cache in enumerate(two):
        cache.take_up()
        write(cache, batches[7:], rank, 2)
        cache.flush()
    two[0].finish()
    assert open_cache(tmp_path, teacher, stream).complete
    assert sum(len(np.fromfile(path, INDEX)) for path in tmp_path.glob("*.idx")) == 100  # none twice


def test_logits_of_a_full_cache_unpack_nothing_else(stream, teacher, tmp_path):
    targets = Targets(teacher, open_cache(tmp_path, teacher, stream))
    fill_cache(targets, stream)
    batch = next(stream.batches(Position()))
    states = targets(batch, Wanted(hidden=True, scores=True))
    tracemalloc.start()
    found = targets(batch, Wanted(logits=True))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < sum(2 * scores.numel() for scores in states.scores) / 2
    assert (found.logits.shape, found.scores) == ((len(batch), 2), ())


@pytest.mark.parametrize("damage", ["truncate", "flip", "index", "record"])
def test_a_damaged_shard_is_made_again(stream, teacher, tmp_path, damage):
    fill_cache(Targets(teacher, open_cache(tmp_path, teacher, stream)), stream)
    suffix = {"index": ".idx", "record": ".json"}.get(damage, ".bin")
    path = next(p for p in sorted(tmp_path.iterdir()) if p.suffix == suffix and p.name != "cache.json")
    data = bytearray(path.read_bytes())
    if damage == "truncate":
        data = data[:-2]
    else:
        data[len(data) // 2] ^= 1
    path.write_bytes(data)
    cache = open_cache(tmp_path, teacher, stream)
    assert [cache.has(shard) for shard in range(3)].count(False) == 1
    fill_cache(Targets(teacher, cache), stream)
    assert cache.complete


def test_stale_and_foreign_caches_are_refused(stream, teacher, tmp_path):
    fill_cache(Targets(teacher, open_cache(tmp_path, teacher, stream)), stream)
    other = Teacher(tiny_encoder(seed=9), (2, 4))
    with pytest.raises(DistillError, match="found one with teacher"):
        open_cache(tmp_path, other, stream)
    with pytest.raises(DistillError, match="found one with layers"):
        open_cache(tmp_path, Teacher(tiny_encoder(), (1, 2)), stream)
    with pytest.raises(DistillError, match="found one with precision"):
        open_cache(tmp_path, Teacher(tiny_encoder(), (2, 4), Precision.BF16), stream)
    assert not open_cache(tmp_path, other, stream, rebuild=True).complete
    (tmp_path / "cache.json").write_text("{")
    with pytest.raises(DistillError, match="unreadable key"):
        open_cache(tmp_path, other, stream)
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("precious")
    with pytest.raises(DistillError, match="other files"):
        open_cache(foreign, teacher, stream, rebuild=True)
    assert (foreign / "thesis.txt").exists()


def test_emptying_leaves_nothing_but_the_key(stream, teacher, tmp_path):
    fill_cache(Targets(teacher, open_cache(tmp_path, teacher, stream)), stream)
    empty_cache(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cache.json"]
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.json").write_text("{}")
    empty_cache(foreign)
    assert (foreign / "thesis.json").exists()


def test_budget_counts_what_lies_there(stream, teacher, tmp_path, monkeypatch):
    key = open_cache(tmp_path, teacher, stream).key
    lengths = sample_lengths(stream)
    full = plan_cache(CacheMode.AUTO, lengths, 100, key, 10**9).full_bytes
    assert plan_cache(CacheMode.AUTO, lengths, 100, key, full + 10, 10).content is CacheContent.FULL
    tight = plan_cache(CacheMode.AUTO, lengths, 100, key, full + 10, 2_000_000)
    assert tight.content is CacheContent.LOGITS
    assert "of which other records there take 2.0 MB" in str(tight)
    assert plan_cache(CacheMode.FULL, lengths, 100, key, full, 1).beyond_budget().endswith("other records there 1 B")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=6_000))
    assert default_budget(tmp_path / "nothing" / "yet") == 3_000
    assert default_budget(tmp_path, there=4_000) == 5_000


def test_a_changed_shard_is_not_found_in_the_cache(stream, teacher, tmp_path):
    fill_cache(Targets(teacher, open_cache(tmp_path, teacher, stream)), stream)
    hashes = ["0" * 64, *(stream.files.sha256(shard) for shard in (1, 2))]
    changed = TeacherCache(tmp_path, cache_key(teacher, stream, CacheMode.FULL), hashes, (37, 50, 13))
    assert [changed.has(shard) for shard in range(3)] == [False, True, True]


def test_numbers_that_do_not_fit_are_named(stream, tmp_path):
    teacher = Teacher(tiny_encoder(), (2,))
    batch = next(stream.batches(Position()))
    with torch.no_grad():
        teacher.model.classifier.bias[0] = 1e6
    cache = open_cache(tmp_path / "a", teacher, stream)
    with pytest.raises(DistillError, match=r"fit float16.*shard \d, row \d+.*float32 cache"):
        Targets(teacher, cache)(batch, ALL)
    wide = open_cache(tmp_path / "b", teacher, stream, dtype="float32")
    Targets(teacher, wide)(batch, ALL)
    with torch.no_grad():
        teacher.model.classifier.bias[0] = torch.nan
    with pytest.raises(DistillError, match=r"finite teacher logits; found \[nan"):
        Targets(teacher, open_cache(tmp_path / "c", teacher, stream))(batch, ALL)


def test_fingerprint():
    assert weights_fingerprint(tiny_encoder()) == weights_fingerprint(tiny_encoder())
    assert weights_fingerprint(tiny_encoder()) != weights_fingerprint(tiny_encoder(seed=1))


def test_key_file_is_readable(stream, teacher, tmp_path):
    open_cache(tmp_path, teacher, stream)
    assert json.loads((tmp_path / "cache.json").read_text())["layers"] == [2, 4]
