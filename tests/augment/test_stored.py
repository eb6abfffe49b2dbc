"""Candidates found once and drawn from later, without a model."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from augment import Augmenter, AugmentError, SkippedTextsWarning, Variant
from augment.candidate_table import from_arrow, to_arrow
from augment.presets import CandidateSettings, DrawSettings
from tests.augment.helpers import LONG, TEXTS, tiny_lm, tiny_vectors
from tests.augment.test_draw import table

DIFFERENT = list(dict.fromkeys(TEXTS))


def words(candidates):
    """Text -> its words with their candidates, in plain Python."""
    found = {}
    for number, text in enumerate(candidates.texts):
        places = range(int(candidates.text_offsets[number]), int(candidates.text_offsets[number + 1]))
        found[text] = [
            (candidates.starts[word], candidates.ends[word], candidates.sources[word], candidates.of_word(word))
            for word in places
        ]
    return found


def test_candidates_are_those_of_the_different_texts(monkeypatch):
    def new_augmenter():
        return Augmenter(tiny_lm(), tiny_vectors(), CandidateSettings(k=5))

    found = new_augmenter().candidates(TEXTS)
    assert found.texts == DIFFERENT
    assert found.counts["texts"] == len(DIFFERENT)
    expected = words(found)
    monkeypatch.setattr("augment.calls.TEXTS_AT_ONCE", 1)
    in_parts = new_augmenter().candidates(TEXTS)
    assert in_parts.counts["eligible_words"] == found.counts["eligible_words"]
    found = words(in_parts)
    assert found.keys() == expected.keys()
    same = [found[text] == expected[text] for text in DIFFERENT]
    assert same.count(False) <= 2  # other batches may change scores in their last digit


def test_stored_candidates_draw_as_the_model_does(augmenter, stored, tmp_path):
    expected = augmenter.augment(TEXTS, n=3, seed=2)
    assert stored.augment(TEXTS, n=3, seed=2) == expected
    candidates = augmenter.candidates(TEXTS)
    ids = [bytes(16)] * len(DIFFERENT)
    for part, rows in enumerate((slice(0, 5), slice(5, None))):
        pq.write_table(to_arrow(candidates, ids)[rows], tmp_path / f"part-{part}.parquet")
    again = Augmenter.from_candidates(from_arrow(pq.read_table(tmp_path)), DrawSettings(n=3))
    assert again.augment(TEXTS, seed=2) == expected


def test_a_text_without_stored_candidates_is_a_bad_one(stored):
    with pytest.raises(AugmentError, match=r"^text 1: expected a text with stored candidates, found another$"):
        stored.augment([DIFFERENT[0], "never seen"])
    with pytest.warns(SkippedTextsWarning):
        found = stored.augment(["never seen", *DIFFERENT[:2]], n=2, errors="skip")
    assert found == [[], *stored.augment(DIFFERENT[:2], n=2)]


def test_what_failed_when_candidates_were_found_fails_when_they_are_drawn():
    augmenter = Augmenter(tiny_lm(), None, CandidateSettings(k=2, max_words=10))
    with pytest.warns(SkippedTextsWarning):
        stored = Augmenter.from_candidates(augmenter.candidates(["good", LONG, None], errors="skip"))
    assert stored.augment(["good"], n=1, p=0) == [[Variant("good", ())]]
    with pytest.raises(AugmentError, match=r"^text 1: expected at most 10 words"):
        stored.augment(["good", LONG])


def test_candidates_of_pairs_cannot_be_drawn_text_by_text():
    with pytest.raises(AugmentError, match="expected different texts, found 'abc' 2 times"):
        Augmenter.from_candidates(table(["xyz", "abc", "abc"], [[]] * 3))


def test_candidates_of_a_changing_text_cannot_be_stored():
    augmenter = Augmenter(tiny_lm(), None, CandidateSettings(context="running"))
    with pytest.raises(AugmentError, match="candidates: expected context original, found running"):
        augmenter.candidates(["good film"])
