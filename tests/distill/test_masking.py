"""Masking: BERT's shares, the same for any batch, rank and resume, whole words where asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from distill.errors import DistillError
from distill.masking import UNMASKED, CountedMasking, Masker, MaskSettings
from distill.shards import Batch, Position
from tests.fixtures import SPECIAL, VOCABULARY, tiny_tokenizer

JSON = tiny_tokenizer().backend_tokenizer.to_str()
MASK = VOCABULARY.index("[MASK]")
CONTINUES = np.array([token.startswith("##") for token in VOCABULARY])


def batch_of(rows: int, length: int = 60, seed: int = 0, padded: int = 0) -> Batch:
    """[CLS], drawn ids without special tokens, [SEP], padding."""
    ids = np.random.default_rng(seed).integers(7, len(VOCABULARY), (rows, length + padded))
    ids[:, 0], ids[:, length - 1], ids[:, length:] = VOCABULARY.index("[CLS]"), VOCABULARY.index("[SEP]"), 0
    mask = np.ones_like(ids)
    mask[:, length:] = 0
    shard, row = np.zeros(rows, np.int32), np.arange(rows, dtype=np.int64)
    return Batch(ids, np.zeros_like(ids), mask, shard, row, None, Position())


DIGESTS = [f"{number:064x}" for number in (0, 0x5EED << 240)]  # of two shards


def masker_of(settings: MaskSettings, tokenizer: str = JSON, seed: int = 1) -> Masker:
    return Masker(settings, tokenizer, seed, DIGESTS.__getitem__)


def test_shares_are_those_of_bert():
    batch = batch_of(2000, padded=3)
    masked = masker_of(MaskSettings())(batch, 0)
    chosen = masked.labels != UNMASKED
    assert not chosen[:, [0, 59, 60, 61, 62]].any()
    assert chosen[:, 1:59].mean() == pytest.approx(0.15, abs=0.005)
    assert (masked.labels[chosen] == batch.ids[chosen]).all()
    assert (masked.ids[~chosen] == batch.ids[~chosen]).all()
    shown, was = masked.ids[chosen], batch.ids[chosen]
    assert (shown == MASK).mean() == pytest.approx(0.8, abs=0.01)
    assert (shown == was).mean() == pytest.approx(0.1, abs=0.01)
    drawn = shown[(shown != MASK) & (shown != was)]
    assert not np.isin(drawn, [VOCABULARY.index(token) for token in SPECIAL]).any()
    assert len(set(drawn.tolist())) > 0.9 * (len(VOCABULARY) - len(SPECIAL))


def test_a_row_is_masked_alike_in_any_batch_and_otherwise_in_another_epoch_or_seed():
    masker, batch = masker_of(MaskSettings()), batch_of(20)
    whole = masker(batch, 3)
    some = np.array([17, 4, 9])
    parts = replace(batch, ids=batch.ids[some], types=batch.types[some], mask=batch.mask[some],
                    shard=batch.shard[some], row=batch.row[some])  # fmt: skip
    again = masker_of(MaskSettings())(parts, 3)
    assert (again.ids == whole.ids[some]).all()
    assert (again.labels == whole.labels[some]).all()
    assert (masker(batch, 4).labels != whole.labels).any()
    assert (masker_of(MaskSettings(), seed=2)(batch, 3).labels != whole.labels).any()
    assert (masker(replace(batch, shard=batch.shard + 1), 3).labels != whole.labels).any()
    still = masker_of(MaskSettings(static=True))
    assert (still(batch, 4).ids == still(batch, 3).ids).all()
    part = whole.part(1, 4)
    assert (part.labels == whole.labels[5:10]).all()


def test_whole_words_are_masked_or_left():
    batch = batch_of(400, seed=5)
    assert CONTINUES[batch.ids].mean() > 0.2
    chosen = masker_of(MaskSettings(whole_word=True))(batch, 0).labels != UNMASKED
    inside = CONTINUES[batch.ids[:, 1:]] & (batch.ids[:, :-1] >= 7)  # goes on with the piece before it
    assert (chosen[:, 1:][inside] == chosen[:, :-1][inside]).all()
    assert chosen[:, 1:59].mean() == pytest.approx(0.15, abs=0.02)
    pieces = masker_of(MaskSettings())(batch, 0).labels != UNMASKED
    assert (pieces[:, 1:][inside] != pieces[:, :-1][inside]).any()


def test_settings_tell_their_exact_rate():
    """A teacher cache is known by it."""
    assert str(MaskSettings()) == "0.15 of pieces masked each epoch by [MASK]"
    assert str(MaskSettings(rate=0.154)) != str(MaskSettings(rate=0.15)) != str(MaskSettings(rate=0.15 + 1e-9))


def test_what_cannot_be_masked_is_refused():
    with pytest.raises(DistillError, match=r"expected the token <mask>"):
        masker_of(MaskSettings(mask_token="<mask>"))
    with pytest.raises(DistillError, match="mask rate between 0 and 1"):
        MaskSettings(rate=1.0)
    without = JSON.replace('"##', '"@@')
    with pytest.raises(DistillError, match="WordPiece vocabulary"):
        masker_of(MaskSettings(whole_word=True), without)


def test_a_number_of_tokens_is_masked():
    """Of 60 tokens 9, of 10 (special ones counted) 2, of 3 one; at most `most`: those of the lowest draws."""
    for length, most, wanted in ((60, 20, 9), (60, 5, 5), (10, 20, 2), (3, 20, 1), (200, 20, 20)):
        batch = batch_of(50, length, padded=4)
        found = masker_of(CountedMasking(most=most))(batch, 1)
        chosen = found.labels != UNMASKED
        assert (chosen.sum(-1) == wanted).all()
        assert not chosen[:, [0, *range(length - 1, length + 4)]].any()
        assert (found.labels[chosen] == batch.ids[chosen]).all()
        if length == 60 and most == 20:  # where both mask as many they mask the same, by the same actions
            some = masker_of(MaskSettings())(batch, 1)
            same = ((some.labels != UNMASKED).sum(-1) == 9).nonzero()[0]
            assert len(same) > 3
            assert (some.ids[same] == found.ids[same]).all()
    for wrong in ({"most": 0}, {"whole_word": True}):
        with pytest.raises(DistillError, match="expected a number of pieces"):
            CountedMasking(**wrong)


def test_labels_of_rows_stand_at_their_first_tokens():
    batch = replace(batch_of(6, padded=2), labels=np.array([0.0, 1, 1, 0, 1, 0]))
    found = masker_of(CountedMasking())(batch, 0)
    assert found.labels[:, 0].tolist() == [0, 1, 1, 0, 1, 0]
    assert ((found.labels[:, 1:] != UNMASKED).sum(-1) == 9).all()
    assert found.labels.dtype == np.int64
