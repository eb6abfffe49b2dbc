"""Masked copies: every word once, inside its window, at the asked distance; batches within their budget."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.masked_copies import PADDED_AT_MOST, Masked, SpecialIds, batches, copy_sizes, masked_copies
from augment.words import Word, WordedText

CLS, SEP, MASK = 1, 2, 3


def worded(lengths, first=100):
    """A text of words with the given numbers of tokens, all ids different."""
    ids = list(range(first, first + sum(lengths)))
    starts = np.cumsum([0, *lengths])
    words = [Word(n, n + 1, int(starts[n]), length, length == 1) for n, length in enumerate(lengths)]
    return WordedText("", ids, words)


def to_mask(texts):
    masked, slot = [], 0
    for text in texts:
        singles = [(number, word) for number, word in enumerate(text.words) if word.single_piece]
        masked.append([Masked(number, word.token, slot + place) for place, (number, word) in enumerate(singles)])
        slot += len(singles)
    return masked, slot


@st.composite
def jobs(draw):
    texts = [
        worded(draw(st.lists(st.sampled_from([1, 1, 1, 2, 3]), max_size=40)), first=100 + 1000 * number)
        for number in range(draw(st.integers(0, 5)))
    ]
    seconds = []
    for number, text in enumerate(texts):
        kind = draw(st.sampled_from(["none", "self", "other"]))
        other = list(range(50_000 + 1000 * number, 50_000 + 1000 * number + draw(st.integers(0, 40))))
        seconds.append({"none": None, "self": text.ids, "other": other}[kind])
    return texts, seconds, draw(st.integers(8, 40)), draw(st.sampled_from([0, 1, 2, 3, 8]))


@settings(deadline=None)
@given(jobs())
def test_every_masked_word_exactly_once(job):
    texts, seconds, window, spacing = job
    masked, slots = to_mask(texts)
    word_of = {word.slot: (number, word) for number, words in enumerate(masked) for word in words}
    groups = masked_copies(texts, masked, seconds, SpecialIds(CLS, SEP, MASK, window), spacing)
    assert [group.length for group in groups] == sorted({group.length for group in groups}, reverse=True)
    seen = []
    for group in groups:
        assert group.length <= window
        for ids, first, positions, targets, number in zip(
            group.ids, group.first_segment, group.positions, group.slots, group.texts, strict=True
        ):
            wanted = positions >= 0
            assert wanted.any()
            assert ((targets >= 0) == wanted).all()
            assert (ids == MASK).sum() == wanted.sum()
            assert (ids[positions[wanted]] == MASK).all()
            original = ids.copy()
            for position, slot in zip(positions[wanted], targets[wanted], strict=True):
                owner, word = word_of[int(slot)]
                assert owner == number
                original[position] = texts[owner].ids[word.token]
                seen.append(int(slot))
            check_line(original, first, texts[number].ids, seconds[number])
            places = sorted(word_of[int(slot)][1].word for slot in targets[wanted])
            assert spacing > 0 or len(places) == 1
            assert all(after - before >= spacing for before, after in itertools.pairwise(places))
    assert sorted(seen) == list(range(slots))


def check_line(line, first, ids, second):
    """[CLS] part of the text [SEP], and part of the second segment [SEP]; both from one unbroken stretch."""
    assert line[0] == CLS
    assert line[first - 1] == SEP
    visible = line[1 : first - 1].tolist()
    start = ids.index(visible[0])
    assert ids[start : start + len(visible)] == visible
    rest = line[first:].tolist()
    if second is None:
        assert rest == []
    elif second is ids:
        assert rest == [*visible, SEP]
    else:
        assert rest == [*second[: len(rest) - 1], SEP]


@settings(deadline=None)
@given(jobs())
def test_copy_sizes_says_what_masked_copies_makes(job):
    texts, seconds, window, spacing = job
    masked, _ = to_mask(texts)
    for text, words, second in zip(texts, masked, seconds, strict=True):
        groups = masked_copies([text], [words], [second], SpecialIds(CLS, SEP, MASK, window), spacing)
        made = sum(len(group.ids) for group in groups), sum(group.ids.size for group in groups)
        assert copy_sizes(text, words, second, window, spacing) == made


@pytest.mark.parametrize("window", [12, 13])
def test_windows_are_centred(window):
    text = worded([1] * 50)
    masked, _ = to_mask([text])
    (group,) = masked_copies([text], masked, [None], SpecialIds(CLS, SEP, MASK, window))
    room = window - 2
    for ids, (position,), (slot,) in zip(group.ids, group.positions, group.slots, strict=True):
        left, right = position - 1, room - position
        assert len(ids) == window
        if room // 2 <= slot < 50 - room // 2:
            assert abs(left - right) <= 1
        elif slot < room // 2:
            assert left == slot
        else:
            assert right == 49 - slot


def test_a_text_that_just_fits_is_shown_whole():
    text = worded([1] * 10)
    masked, _ = to_mask([text])
    (group,) = masked_copies([text], masked, [None], SpecialIds(CLS, SEP, MASK, 12))
    assert group.positions[:, 0].tolist() == list(range(1, 11))


def test_windows_with_spacing_show_a_quarter_on_either_side():
    text = worded([1] * 200)
    masked, _ = to_mask([text])
    (group,) = masked_copies([text], masked, [None], SpecialIds(CLS, SEP, MASK, 42), 8)
    for positions, slots in zip(group.positions, group.slots, strict=True):
        for position, slot in zip(positions[positions >= 0], slots[slots >= 0], strict=True):
            assert min(position - 1, slot) >= min(10, slot)
            assert 40 - position >= min(10 - 1, 199 - slot)


def test_a_long_pair_shares_the_window():
    text, second = worded([1] * 50), list(range(900, 950))
    masked, _ = to_mask([text])
    (group,) = masked_copies([text], masked, [second], SpecialIds(CLS, SEP, MASK, 23))
    assert group.length == 23
    assert (group.first_segment == 12).all()  # [CLS] 10 [SEP] 10 [SEP]
    assert group.ids[0, 12:].tolist() == [*second[:10], SEP]


def test_a_short_text_leaves_the_window_to_its_long_partner():
    text, second = worded([1] * 4), list(range(900, 950))
    masked, _ = to_mask([text])
    (group,) = masked_copies([text], masked, [second], SpecialIds(CLS, SEP, MASK, 23))
    assert (group.first_segment == 6).all()
    assert group.ids[0, 6:].tolist() == [*second[:16], SEP]


@settings(deadline=None)
@given(jobs(), st.integers(1, 400))
def test_batches(job, budget):
    texts, seconds, window, spacing = job
    masked, slots = to_mask(texts)
    groups = masked_copies(texts, masked, seconds, SpecialIds(CLS, SEP, MASK, window), spacing)
    answered, copies_seen = [], 0
    for copies, targets, owners in batches(groups, budget):
        rows, width = copies.ids.shape
        assert rows == 1 or rows * width <= budget
        assert copies.lengths.max() == width  # no more padding than the longest copy asks for
        assert copies.lengths.min() >= PADDED_AT_MOST * width
        for ids, length in zip(copies.ids, copies.lengths, strict=True):
            assert (ids[length:] == 0).all()
            assert (ids[:length] != 0).all()
        wanted = copies.positions >= 0
        assert wanted.sum() == len(targets) == len(owners)
        row = np.nonzero(wanted)[0]
        assert (copies.ids[row, copies.positions[wanted]] == MASK).all()
        text_of = {word.slot: number for number, words in enumerate(masked) for word in words}
        assert [text_of[int(slot)] for slot in targets] == owners.tolist()
        answered += targets.tolist()
        copies_seen += rows
    assert sorted(answered) == list(range(slots))
    assert copies_seen == sum(len(group.ids) for group in groups)


def test_batches_are_filled():
    texts = [worded([1] * length) for length in (10, 10, 9, 9, 8, 4)]
    masked, _ = to_mask(texts)
    groups = masked_copies(texts, masked, [None] * len(texts), SpecialIds(CLS, SEP, MASK, 64))
    shapes = [copies.ids.shape for copies, _, _ in batches(groups, 240)]
    # 240 tokens hold 20 copies of 12, of which 16 make a multiple of 32 tokens; the 4 left are filled up with 12 of
    # 11 tokens; the 6 left of those with 8 of 10 tokens, which is more than half; 4 of 6 tokens are too short for them
    assert shapes == [(16, 12), (16, 12), (14, 11), (4, 6)]


def test_a_batch_less_than_half_full_goes_on_with_the_next_length():
    texts = [worded([1] * length) for length in (10, 9, 8)]
    masked, _ = to_mask(texts)
    groups = masked_copies(texts, masked, [None] * len(texts), SpecialIds(CLS, SEP, MASK, 64))
    (only,) = batches(groups, 1000)
    assert only[0].ids.shape == (27, 12)
    assert only[0].lengths.tolist() == [12] * 10 + [11] * 9 + [10] * 8
