"""Candidates of texts seen before are looked up, in bounded memory, and change neither results nor fingerprints."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from augment import Augmenter, AugmentError
from augment.remembered import RememberedCandidates
from tests.augment.helpers import TEXTS, tiny_finder
from tests.augment.test_proposals import failing, poisoned
from tests.augment.test_stored import DIFFERENT, words


class Counting:
    """A finder that knows which texts it was asked for."""

    def __init__(self, finder):
        self.finder, self.asked = finder, []

    def find(self, texts):
        self.asked.append(list(texts))
        return self.finder.find(texts)


@pytest.fixture
def counting():
    return Counting(tiny_finder(k=5))


def test_texts_seen_before_are_looked_up_in_any_order(counting):
    finder = RememberedCandidates(counting)
    alone = {text: words(counting.finder.find([text]))[text] for text in DIFFERENT}
    for asked in (DIFFERENT[:3], DIFFERENT[2:6], DIFFERENT[5::-1], [DIFFERENT[7], *DIFFERENT[1:3]], []):
        found = finder.find(asked)
        assert found.texts == asked
        assert found.offsets[-1] == len(found.codes) == len(found.scores)
        for text, candidates in words(found).items():
            assert [word[:3] for word in candidates] == [word[:3] for word in alone[text]]
            np.testing.assert_allclose(
                [score for *_, of_word in candidates for _, score in of_word],
                [score for *_, of_word in alone[text] for _, score in of_word],
                rtol=0.01,
            )
        assert len(found.kept) == len(asked)
    assert counting.asked == [DIFFERENT[:3], DIFFERENT[3:6], [DIFFERENT[7]], []]


def test_the_oldest_are_forgotten_where_there_is_no_room(counting):
    finder = RememberedCandidates(counting, most_bytes=2500)
    for text in DIFFERENT[:6]:
        finder.find([text])
    counting.asked.clear()
    assert finder._bytes <= 2500
    assert words(finder.find(DIFFERENT[:6])).keys() == set(DIFFERENT[:6])
    [again] = counting.asked
    assert again == DIFFERENT[: len(again)]
    assert 0 < len(again) < 6
    nothing = RememberedCandidates(counting, most_bytes=0)
    assert words(nothing.find(DIFFERENT)) == words(nothing.find(DIFFERENT))
    assert counting.asked[1:] == [DIFFERENT, DIFFERENT]


def test_a_text_that_failed_is_tried_again():
    finder = tiny_finder(0, k=3)
    augmenter = Augmenter(finder.model, None, finder.settings)
    texts = ["the film is good", "red fish and blue bird"]
    failing(finder, poisoned)
    with pytest.raises(AugmentError, match=r"^text 1: FloatingPointError"):
        augmenter.augment(texts, n=2, p=0.9)
    del finder.model.start  # the device recovers
    assert [len(variants) for variants in augmenter.augment(texts, n=2, p=0.9)] == [2, 2]


def test_another_seed_n_and_protected_word_need_no_model():
    finder = tiny_finder(k=5)
    augmenter = Augmenter(finder.model, None, finder.settings)
    stored = Augmenter.from_candidates(augmenter.candidates(DIFFERENT))
    failing(finder, lambda _: MemoryError("the masked LM was asked"))
    for calls in ({"seed": 1}, {"seed": 2, "n": 3, "p": 0.9}, {"protect": ["film", "/i.*t/"]}, {"unique": True}):
        assert augmenter.augment(TEXTS, **{"n": 2, **calls}) == stored.augment(TEXTS, **{"n": 2, **calls})


def test_what_is_remembered_is_neither_pickled_nor_part_of_a_fingerprint(mlm_folder):
    from datasets.fingerprint import Hasher

    augmenter = Augmenter.from_pretrained(mlm_folder, "none", device="cpu", k=5)
    pickled, fingerprint = pickle.dumps(augmenter), Hasher.hash(augmenter)
    variants = augmenter.augment(TEXTS, n=2)
    assert pickle.dumps(augmenter) == pickled
    assert Hasher.hash(augmenter) == fingerprint
    assert pickle.loads(pickled).augment(TEXTS, n=2) == variants
