"""Masked copies: every word once, inside its window, at the asked distance; batches within their budget."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.device_copies import DeviceCopies
from augment.layouts import PADDED_AT_MOST, Layout
from augment.masked_copies import MaskedCopies, Masks, SpecialIds
from augment.words import TokenRows

CLS, SEP, MASK = 1, 2, 3


def masked_copies(texts, seconds=None, window=64, spacing=0):
    """Copies for the words of one token of some texts, all of whose ids are different.

    Args:
        texts: for each text the numbers of tokens of its words.
        seconds: as `MaskedCopies` takes them; "self" for the texts' own.
        window: tokens the masked LM reads at once.
        spacing: as `MaskedCopies` takes it.
    """
    rows = TokenRows.of([[100 + 1000 * n + one for one in range(sum(lengths))] for n, lengths in enumerate(texts)])
    found = [
        (number, word, sum(lengths[:word]))
        for number, lengths in enumerate(texts)
        for word, pieces in enumerate(lengths)
        if pieces == 1
    ]
    columns = np.array(found, dtype=np.int64).reshape(-1, 3).T
    masks = Masks(*columns, np.arange(len(found)))
    second = rows if seconds == "self" else seconds
    return rows, masks, MaskedCopies(rows, second, masks, SpecialIds(CLS, SEP, MASK, window), spacing)


def on_device(copies):
    return DeviceCopies(copies, torch.device("cpu"), None, two_segments=True)


def read(copies, cut, layout):
    """What a batch holds: of each copy its ids, tokens of the first segment and positions; filling is left out."""
    batch = on_device(copies).batch(cut, layout)
    ids, segments = batch.ids.numpy(), None if batch.segments is None else batch.segments.numpy()
    first = copies.first_masks[cut.start : cut.stop + 1] - copies.first_masks[cut.start]
    rows = cut.stop - cut.start
    if layout is Layout.PACKED:
        starts = batch.starts.tolist()
        assert batch.mask_starts.tolist() == first.tolist()
        places = [range(start, stop) for start, stop in itertools.pairwise(starts)]
        assert all(batch.places[0, place].tolist() == [*range(len(place))] for place in places)
        masked = batch.masked.tolist()
        found = [[masked[mask] - starts[row] for mask in range(first[row], first[row + 1])] for row in range(rows)]
        pick = [(0, list(place)) for place in places]
    else:
        lengths = copies.lengths[cut.start : cut.stop]
        pick = [(row, slice(length)) for row, length in enumerate(lengths.tolist())]
        asked = batch.queries.flatten() if batch.picked is None else batch.queries.flatten()[batch.picked]
        row = np.arange(rows) if batch.picked is None else batch.picked.numpy() // batch.queries.shape[1]
        assert row[: first[-1]].tolist() == np.repeat(np.arange(rows), np.diff(first)).tolist()
        found = [asked[first[row] : first[row + 1]].tolist() for row in range(rows)]
        inside = np.arange(cut.width) < lengths[:, None]
        assert (ids[:rows][~inside] == 0).all()
        if batch.allowed is None:
            assert inside.all()
        else:
            assert (batch.allowed[:rows, 0, 0].numpy() == inside).all()
    firsts = [len(ids[p]) if segments is None else int((segments[p] == 0).sum()) for p in pick]
    return [(ids[p], firsts[n], np.array(found[n])) for n, p in enumerate(pick)]


def lines(copies, layout=Layout.NEAR):
    """Every copy without padding: ids, tokens of the first segment, positions, slots, text."""
    every = copies.cutter(layout, 1 << 20).cut(0, len(copies.lengths))
    masks = [copies.slots[slice(*pair)] for pair in itertools.pairwise(copies.first_masks)]
    return [(*line, masks[n], copies.texts[n]) for n, line in enumerate(read(copies, every, layout))]


@st.composite
def jobs(draw):
    texts = draw(st.lists(st.lists(st.sampled_from([1, 1, 1, 2, 3]), max_size=40), max_size=5))
    sizes = draw(st.lists(st.integers(0, 40), min_size=len(texts), max_size=len(texts)))
    other = TokenRows.of([range(50_000 + 1000 * n, 50_000 + 1000 * n + size) for n, size in enumerate(sizes)])
    seconds = draw(st.sampled_from([None, "self", other]))
    return texts, seconds, draw(st.integers(8, 40)), draw(st.sampled_from([0, 1, 2, 3, 8]))


@settings(deadline=None)
@given(jobs(), st.sampled_from(Layout))
def test_every_masked_word_exactly_once(job, layout):
    _, seconds, window, spacing = job
    rows, masks, copies = masked_copies(*job)
    assert copies.lengths.tolist() == sorted(copies.lengths, reverse=True)
    seen = []
    for ids, first, positions, slots, number in lines(copies, layout) if len(copies.lengths) else ():
        assert len(ids) <= window
        assert len(positions) > 0
        assert (ids == MASK).sum() == len(positions)
        assert (ids[positions] == MASK).all()
        assert (masks.texts[slots] == number).all()
        original = ids.copy()
        original[positions] = [rows.row(number)[token] for token in masks.tokens[slots]]
        seen += slots.tolist()
        second = rows.row(number) if seconds == "self" else seconds and seconds.row(number)
        check_line(original, first, rows.row(number), second, seconds == "self")
        places = sorted(masks.words[slots].tolist())
        assert spacing > 0 or len(places) == 1
        assert all(after - before >= spacing for before, after in itertools.pairwise(places))
    assert sorted(seen) == list(range(len(masks.slots)))
    assert copies.counts == {
        "masked_words": len(masks.slots), "masked_copies": len(copies.lengths), "mlm_tokens": copies.lengths.sum()
    }  # fmt: skip


def check_line(line, first, ids, second, own):
    """[CLS] part of the text [SEP], and part of the second segment [SEP]; both from one unbroken stretch."""
    assert line[0] == CLS
    assert line[first - 1] == SEP
    visible = line[1 : first - 1].tolist()
    start = ids.index(visible[0])
    assert ids[start : start + len(visible)] == visible
    rest = line[first:].tolist()
    if second is None:
        assert rest == []
    elif own:
        assert rest == [*visible, SEP]
    else:
        assert rest == [*second[: len(rest) - 1], SEP]


@pytest.mark.parametrize("window", [12, 13])
def test_windows_are_centred(window):
    _, _, copies = masked_copies([[1] * 50], window=window)
    room = window - 2
    for ids, _, (position,), (slot,), _ in lines(copies):
        left, right = position - 1, room - position
        assert len(ids) == window
        if room // 2 <= slot < 50 - room // 2:
            assert abs(left - right) <= 1
        elif slot < room // 2:
            assert left == slot
        else:
            assert right == 49 - slot


def test_a_text_that_just_fits_is_shown_whole():
    _, _, copies = masked_copies([[1] * 10], window=12)
    assert [position for _, _, (position,), _, _ in lines(copies)] == list(range(1, 11))


def test_windows_with_spacing_show_a_quarter_on_either_side():
    _, _, copies = masked_copies([[1] * 200], window=42, spacing=8)
    for _, _, positions, slots, _ in lines(copies):
        for position, slot in zip(positions, slots, strict=True):
            assert min(position - 1, slot) >= min(10, slot)
            assert 40 - position >= min(10 - 1, 199 - slot)


@pytest.mark.parametrize(("words", "kept"), [(50, 10), (4, 16)], ids=["they share it", "a short text leaves it"])
def test_the_window_of_a_pair_with_a_long_second_text(words, kept):
    second = list(range(900, 950))
    _, _, copies = masked_copies([[1] * words], TokenRows.of([second]), window=23)
    for ids, first, _, _, _ in lines(copies):
        assert len(ids) == 23
        assert first == 23 - kept - 1  # [CLS] … [SEP] kept [SEP]
        assert ids[first:].tolist() == [*second[:kept], SEP]


@settings(deadline=None)
@given(jobs(), st.integers(1, 400), st.sampled_from(Layout))
def test_batches(job, budget, layout):
    copies = masked_copies(*job)[2]
    cutter, reached = copies.cutter(layout, budget), 0
    for cut in cutter.cuts():
        assert cut.start == reached < cut.stop
        copies_of_it, tokens = cut.stop - cut.start, cut.rows * cut.width
        lengths = copies.lengths[cut.start : cut.stop]
        assert tokens <= budget or copies_of_it == 1
        assert tokens >= lengths.sum()
        if layout is not Layout.PACKED:
            assert cut.rows >= copies_of_it == (cut.rows if layout is Layout.NEAR else copies_of_it)
            assert cut.width - lengths.max() in (range(8) if layout is Layout.EIGHTS else [0])
            assert layout is not Layout.EQUAL or lengths.min() == cut.width
            assert -(-lengths.min() // 8) * 8 >= PADDED_AT_MOST * cut.width
        read(copies, cut, layout)
        assert cutter.cut(cut.start, cut.stop) == cut
        reached = cut.stop
    assert reached == len(copies.lengths)


def shapes(lengths, budget, layout=Layout.NEAR):
    _, _, copies = masked_copies([[1] * length for length in lengths])
    return [cut[2:] for cut in copies.cutter(layout, budget).cuts()]


def test_batches_are_filled():
    # 240 tokens hold 20 copies of 12, of which 16 make a multiple of 32 tokens; the 4 left are filled up with 12 of
    # 11 tokens; the 6 left of those with 8 of 10 tokens, which is more than half; 4 of 6 tokens are too short for them
    assert shapes((10, 10, 9, 9, 8, 4), 240) == [(16, 12), (16, 12), (14, 11), (4, 6)]


def test_a_batch_less_than_half_full_goes_on_with_the_next_length():
    assert shapes((10, 9, 8), 1000) == [(27, 12)]


def test_few_sizes_fill_up_a_batch():
    # full batches hold 16 copies of 12 tokens or 24 of 10; 4 and 8 copies are left, for a quarter and a half of them
    assert shapes((10, 10, 8, 1), 240, Layout.EQUAL) == [(16, 12), (4, 12), (12, 10), (1, 3)]
    assert shapes((10, 10, 8, 1), 240, Layout.EIGHTS) == [(14, 16), (14, 16), (1, 8)]
    assert shapes((10, 10, 8, 1), 240, Layout.PACKED) == [(1, 240), (1, 120)]
