"""A teacher that runs ahead, on several batches together, and a thread that draws batches."""

from __future__ import annotations

import itertools
import threading
import time
from types import SimpleNamespace

import pytest
import torch

from distill.errors import DistillError
from distill.feed import Feed, ahead
from distill.groups import GROUP_BATCHES, GroupLimits, forward_passes, group_limits, in_groups, joined
from distill.inputs import bucket_width
from distill.precision import Precision
from distill.shards import Position
from distill.targets import Targets, cache_key
from distill.teacher import Teacher, Wanted
from tests.distill.data import open_stream
from tests.distill.models import FAMILIES, tiny_encoder
from tests.distill.runs import LAYERS, BrokenOff, losses, tiny_pair, tiny_run, tiny_targets

ALL = Wanted(logits=True, hidden=True, scores=True, embedding=True, cls=True)
CPU = torch.device("cpu")
WHOLE = {"epochs": 4, "max_steps": 50}


@pytest.mark.parametrize("stage", ["intermediate", "prediction"])
@pytest.mark.parametrize("cached", [False, True])
def test_losses_are_those_of_a_teacher_in_each_step(data, tmp_path, stage, cached):
    folders = [tmp_path / name if cached else None for name in ("a", "b")]
    tiny_run(data, tmp_path / "ahead", folders[0], stage, teacher_group=3, **WHOLE)
    tiny_run(data, tmp_path / "each", folders[1], stage, **WHOLE)
    assert losses(tmp_path / "ahead") == pytest.approx(losses(tmp_path / "each"), rel=5e-3 if cached else 1e-4)


@pytest.mark.parametrize("cached", [False, True])
def test_a_resumed_run_has_the_same_groups(data, tmp_path, cached):
    """Checkpoints come every four steps, in the middle of a group of three."""
    folders = [tmp_path / name if cached else None for name in ("a", "b")]
    with pytest.raises(BrokenOff):
        tiny_run(data, tmp_path / "stopped", folders[0], stop_at=22, teacher_group=3, **WHOLE)
    tiny_run(data, tmp_path / "stopped", folders[0], teacher_group=3, **WHOLE)
    tiny_run(data, tmp_path / "whole", folders[1], teacher_group=3, **WHOLE)
    assert (tmp_path / "stopped" / "losses.csv").read_bytes() == (tmp_path / "whole" / "losses.csv").read_bytes()


def test_several_parts_of_a_step_are_taught_together(data, tmp_path):
    for group in (1, 3):
        tiny_run(data, tmp_path / str(group), dropout=0.0, max_steps=8, accumulation=9, teacher_group=group)
    assert losses(tmp_path / "3") == pytest.approx(losses(tmp_path / "1"), rel=1e-4)


def lessons(data, group: GroupLimits, start: Position) -> list:
    _, teacher = tiny_pair()
    stream = open_stream(data)
    return list(Feed(stream, tiny_targets(teacher, stream, None), ALL, CPU, group=group).lessons(start))


def test_groups_end_with_their_pool_and_begin_at_fixed_batches(data, monkeypatch):
    seen = []
    real = Targets.of_group
    monkeypatch.setattr(
        Targets, "of_group", lambda self, batches, *more: seen.append(batches) or real(self, batches, *more)
    )
    whole = lessons(data, GroupLimits(3), Position())
    assert [len(group) for group in seen] == [3, 2, 3, 2, 3]  # pools of five batches, and one of three
    first = [batch.row.tolist() for group in seen for batch in group]
    seen.clear()
    later = lessons(data, GroupLimits(3), Position(0, 1, 1))
    assert [len(group) for group in seen] == [3, 2, 3]
    assert [batch.row.tolist() for group in seen for batch in group] == first[5:]
    assert [one.batch.row.tolist() for one in later] == first[6:]
    for mine, theirs in zip(later, whole[6:], strict=True):
        assert torch.equal(mine.given[0].logits, theirs.given[0].logits)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_each_batch_gets_its_own_rows(data, family):
    teacher = Teacher(tiny_encoder(family), LAYERS)
    batches = list(itertools.islice(open_stream(data).batches(Position()), 7))
    calls, real = [], teacher.targets
    teacher.targets = lambda batch, wanted: calls.append(batch) or real(batch, wanted)
    found = teacher.targets_of_group(batches, ALL)
    assert len(calls) == len(forward_passes(batches)) < 4
    for batch, mine in zip(batches, found, strict=True):
        own = torch.from_numpy(batch.mask).bool()
        plain = real(batch, ALL)
        for name in ("logits", "embedding", "hidden", "scores", "cls"):
            ours, theirs = getattr(mine, name), getattr(plain, name)
            for one, other in zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]:
                assert one.shape == other.shape
                if name == "scores":
                    pairs = (own[:, None, :, None] & own[:, None, None, :]).expand_as(one)
                    one, other = one[pairs], other[pairs]
                elif name in ("embedding", "hidden"):
                    one, other = one[own], other[own]
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_passes_join_widths_of_one_bucket(data):
    batches = list(open_stream(data).batches(Position()))
    for places in forward_passes(batches):
        widths = {batches[place].ids.shape[1] for place in places}
        assert len({-(-width // 8) for width in widths}) == 1
        whole = joined([batches[place] for place in places], pad_id=0)
        assert whole.ids.shape == (sum(len(batches[place]) for place in places), max(widths))
    assert sorted(itertools.chain.from_iterable(forward_passes(batches))) == list(range(len(batches)))


def test_batches_widen_to_a_bucket_within_the_longest(data):
    for batch in open_stream(data).batches(Position()):
        wide = bucket_width(batch, 12, pad_id=7)
        width = batch.ids.shape[1]
        assert wide.ids.shape[1] == (8 if width <= 8 else max(12, width))
        assert (wide.ids[:, width:] == 7).all()
        assert not wide.mask[:, width:].any()
        assert (wide.ids[:, :width] == batch.ids).all()


def test_a_group_of_a_pool_is_made_again_without_those_before_it(data, monkeypatch):
    seen, real = [], Targets.of_group
    monkeypatch.setattr(
        Targets, "of_group", lambda self, batches, *more: seen.append(len(batches)) or real(self, batches, *more)
    )
    later = lessons(data, GroupLimits(3), Position(0, 0, 4))
    assert seen == [2, 3, 2, 3]
    assert [(one.batch.after.pool, one.batch.after.batch) for one in later[:2]] == [(1, 0), (1, 1)]


def test_groups_end_where_their_states_take_the_room(data, monkeypatch):
    """A token of width 8 takes 8 x 10 bytes and 8 x 8 x 2; each batch has eight rows."""
    batches = list(open_stream(data).batches(Position()))[:5]
    widths = [-(-batch.ids.shape[1] // 8) * 8 for batch in batches]
    rooms = [8 * width * (10 + 2 * width) for width in widths]
    monkeypatch.setattr("distill.groups.GROUP_BYTES", rooms[0] + rooms[1])
    groups = list(in_groups(batches, GroupLimits(256, 10, 2), lambda batch: batch))
    assert len(groups[0]) == 2
    for group in groups:
        places = [next(place for place, batch in enumerate(batches) if batch is one) for one in group]
        assert len(group) == 1 or sum(rooms[place] for place in places) <= rooms[0] + rooms[1]
        end = places[-1] + 1
        assert end == 5 or sum(rooms[places[0] : end + 1]) > rooms[0] + rooms[1]
    assert [len(group) for group in in_groups(batches[:2], GroupLimits(256, 10**9), lambda batch: batch)] == [1, 1]


def test_groups_count_what_a_cache_keeps_and_the_type_of_numbers(data, tmp_path):
    stream, teacher = open_stream(data), Teacher(tiny_encoder(), LAYERS, Precision.BF16)
    cached = tiny_targets(teacher, stream, tmp_path)  # keeps hidden states and scores
    width, heads = teacher.model.config.hidden_size, teacher.model.config.num_attention_heads
    whole = GroupLimits(GROUP_BATCHES, 2 * width * 4, 2 * heads * 4)
    assert Targets(teacher).group_limits(ALL) == group_limits(teacher, ALL, 4) == whole  # under autocast
    teacher.half_weights = True
    assert Targets(teacher).group_limits(ALL, 7) == GroupLimits(7, 2 * width * 2, 2 * heads * 2)
    assert cached.group_limits(Wanted(logits=True)) == whole
    assert Targets(teacher).group_limits(Wanted(logits=True)) == GroupLimits(GROUP_BATCHES)


def test_a_run_goes_on_with_groups_of_the_same_size_alone(data, tmp_path):
    tiny_run(data, tmp_path, max_steps=4)
    assert "teacher_group" not in next(tmp_path.glob("step-*/state.json")).read_text()
    tiny_run(data, tmp_path, max_steps=4, teacher_group=1)
    with pytest.raises(DistillError, match="expected teacher_group 3"):
        tiny_run(data, tmp_path, max_steps=4, teacher_group=3)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_logits_of_weights_in_bf16_keep_no_states(data, family, monkeypatch):
    teacher, batch = Teacher(tiny_encoder(family), LAYERS, Precision.BF16), next(open_stream(data).batches(Position()))
    teacher.half_weights = True
    expected = teacher.targets(batch, Wanted(logits=True, hidden=True)).logits
    monkeypatch.setattr("distill.teacher.encoder_outputs", None)
    assert torch.equal(teacher.targets(batch, Wanted(logits=True)).logits, expected)


def test_a_cache_is_known_by_the_kind_of_weights(data):
    stream, teacher = open_stream(data), Teacher(tiny_encoder(), LAYERS, Precision.BF16)
    assert cache_key(teacher, stream, "logits").precision == "bf16"
    teacher.half_weights = True
    assert cache_key(teacher, stream, "logits").precision == "bf16 weights"


def test_weights_in_bf16_are_near_those_under_autocast(data):
    batch = next(open_stream(data).batches(Position()))
    teacher = Teacher(tiny_encoder(), LAYERS, Precision.BF16)
    exact = Teacher(tiny_encoder(), LAYERS, Precision.FP32).targets(batch, ALL)
    cast = teacher.targets(batch, ALL)
    teacher.half_weights = True
    half = teacher.targets(batch, ALL)
    assert (half.logits.dtype, half.scores[0].dtype) == (torch.float32, torch.bfloat16)
    assert next(teacher.model.parameters()).dtype == torch.float32
    for name in ("logits", "embedding"):
        error = (getattr(half, name).float() - getattr(exact, name)).abs().mean()
        assert 0 < error < 3 * (getattr(cast, name).float() - getattr(exact, name)).abs().mean() + 1e-2
    torch.testing.assert_close(half.hidden[1].float(), exact.hidden[1], rtol=0.1, atol=0.15)
    only = teacher.targets(batch, Wanted(embedding=True))
    assert torch.equal(only.embedding, half.embedding)
    assert only.logits is None


def feeding() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "feed"]


def test_a_thread_draws_in_order_and_no_further_than_asked():
    drawn = []
    items = ahead((drawn.append(number) or number for number in range(100)), depth=3)
    assert next(items) == 0
    time.sleep(0.2)
    assert len(drawn) <= 6
    assert list(items) == list(range(1, 100))
    assert not feeding()


def test_what_it_meets_comes_in_its_turn():
    def broken():
        yield from range(5)
        raise OSError("gone")

    items = ahead(broken(), depth=2)
    assert [next(items) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="gone"):
        next(items)
    assert not feeding()


def test_it_ends_with_whoever_asks():
    closed = []

    def endless():
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    items = ahead(endless(), depth=2)
    assert next(items) == 0
    items.close()
    assert closed == [True]
    assert not feeding()


def test_groups_count_start_and_end_logits_and_ask_no_widths_for_others():
    bare = SimpleNamespace(model_type="t5gemma")  # widths of encoder and decoder lie a level deeper
    of_spans, of_labels = (
        SimpleNamespace(model=SimpleNamespace(config=bare, **head), layer_map=(1, 2))
        for head in ({"qa_outputs": 1}, {})
    )
    logits = Wanted(logits=True)
    assert group_limits(of_spans, logits, 4) == GroupLimits(GROUP_BATCHES, 8)  # float32, whatever the states are
    assert group_limits(of_spans, Wanted(), 4) == GroupLimits(GROUP_BATCHES)
    assert group_limits(of_labels, logits, 2) == GroupLimits(GROUP_BATCHES)
