"""GloVe's neighbours as candidates of words of several pieces (Algorithm 1, line 11)."""

from __future__ import annotations

import numpy as np
import pytest

from augment.presets import DrawSettings
from augment.similar import SimilarWords
from augment.sites import find_sites
from augment.variants import draw_variants
from glove import vectors_from_arrays
from tests.augment.helpers import one_digit_apart, tiny_finder, tiny_lm, tiny_vectors
from tests.fixtures import GLOVE_WORDS, glove_text
from tests.oracles.algorithm1 import Glove

# Unit vectors at known angles (degrees) from "movies" and, a quarter turn away, from "Movies".
ANGLES = {
    "movies": 0,
    "films": 10,
    "Films": 5,
    "two words": 1,
    "full-length": 2,
    "...": 3,
    "cinema\u200b": 4,
    "FLICKS": 20,
    "MOVIES": 25,
    "cinema": 30,
    "Movies": 180,
    "plays": 170,
}


def vectors():
    radians = np.deg2rad(list(ANGLES.values()))
    return vectors_from_arrays(list(ANGLES), np.stack([np.cos(radians), np.sin(radians)], axis=1))


def neighbours(word, k=3, punctuation=False):
    (found,) = SimilarWords(vectors(), tiny_lm().splitter, k, punctuation).of([word])
    return found


def test_neighbours_are_single_words_without_case_duplicates():
    # "two words", "full-length", "..." and a zero-width space are nearer; of Films and films the nearer one counts;
    # MOVIES is the word itself.
    assert [word for word, _ in neighbours("movies")] == ["Films", "FLICKS", "cinema"]
    expected = [np.cos(np.deg2rad(angle)) for angle in (5, 20, 30)]
    assert all(
        one_digit_apart(score, round(want, 3)) for (_, score), want in zip(neighbours("movies"), expected, strict=True)
    )


def test_punctuation_where_it_is_allowed():
    assert neighbours("movies", punctuation=True)[0][0] == "Films"  # "..." is three words to the tokenizer
    words = ["movies", "!", "films"]
    found = SimilarWords(vectors_from_arrays(words, np.eye(3)[[0, 0, 1]]), tiny_lm().splitter, 2, True).of(["movies"])
    assert [word for word, _ in found[0]] == ["!", "films"]


def test_the_exact_form_comes_before_lower_case():
    assert neighbours("Movies", 1)[0][0] == "plays"
    assert neighbours("mOVIES") == neighbours("movies")
    assert neighbours("CINEMA")[0][0] == neighbours("cinema")[0][0]
    assert neighbours("flicks") == []  # only FLICKS is there, and lower case is all that is tried


def test_unknown_words_and_no_vectors():
    assert neighbours("zzz") == []
    assert SimilarWords(None, tiny_lm().splitter, 3, False).of(["movies", "x"]) == [[], []]


def test_each_word_is_looked_up_once(monkeypatch):
    asked = []
    from augment import similar

    original = similar.similar_words

    def counted(vectors, words, k, accept):
        asked.extend(words)
        return original(vectors, words, k, accept)

    monkeypatch.setattr(similar, "similar_words", counted)
    lookup = SimilarWords(vectors(), tiny_lm().splitter, 2, False)
    first = lookup.of(["movies", "films", "movies"])
    assert lookup.of(["films", "cinema"])[0] == first[1]
    assert first[0] == first[2]
    assert sorted(asked) == ["cinema", "films", "movies"]
    monkeypatch.setattr(similar, "REMEMBERED", 0)
    assert lookup.of(["movies"]) == first[:1]


@pytest.mark.parametrize("k", [1, 4, 50])
def test_equals_a_plain_search(k):
    words = [*GLOVE_WORDS, "PARIS", "Gripping", "dreaRY", "zzz"]
    found = SimilarWords(tiny_vectors(), tiny_lm().splitter, k, False).of(words)
    plain = Glove(glove_text(), k)
    for word, entries in zip(words, found, strict=True):
        expected = plain.candidates(word)
        if expected.sure:
            assert [entry[0] for entry in entries] == [entry[0] for entry in expected.words], word
        assert all(one_digit_apart(entry[1], wanted[1]) for entry, wanted in zip(entries, expected.words, strict=True))


def test_a_word_without_candidates_stays():
    finder = tiny_finder(0, k=3, exclude_original=True)
    candidates = finder.find(["zzz good qqq"])
    assert candidates.counts["words_without_candidates"] == 2
    batch = draw_variants(find_sites(candidates), np.array([0]), np.array([[0]]), ["text"], DrawSettings(n=9, p=1.0))
    for text in batch.texts[0].to_pylist()[1:]:
        first, changed, last = text.split(" ")
        assert (first, last) == ("zzz", "qqq")
        assert changed != "good"
    assert batch.counts["drawable_words"] == 9


def test_without_vectors_words_of_several_pieces_stay():
    from augment.candidates import CandidateFinder
    from augment.presets import CandidateSettings

    finder = CandidateFinder(tiny_lm(), None, CandidateSettings(k=2))
    found = finder.find(["gripping film"])
    assert np.diff(found.offsets).tolist() == [0, 2]
    assert found.counts["words_with_glove_candidates"] == 0
    assert found.counts["multi_piece_words"] == 1
