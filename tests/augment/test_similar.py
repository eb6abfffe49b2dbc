"""GloVe's neighbours as candidates of words of several pieces (Algorithm 1, line 11)."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from augment import similar
from augment.candidates import CandidateFinder
from augment.presets import CandidateSettings, DrawSettings
from augment.similar import KnownNeighbours, SimilarWords
from augment.sites import find_sites
from augment.variants import draw_variants
from glove import similar_words, vectors_from_arrays
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
    original = similar.similar_words

    def counted(vectors, words, *more):
        asked.extend(words)
        return original(vectors, words, *more)

    monkeypatch.setattr(similar, "similar_words", counted)
    lookup = SimilarWords(vectors(), tiny_lm().splitter, 2, False)
    first = lookup.of(["movies", "films", "movies"])
    assert lookup.of(["films", "cinema"])[0] == first[1]
    assert first[0] == first[2]
    assert sorted(asked) == ["cinema", "films", "movies"]
    monkeypatch.setattr(similar, "REMEMBERED", 0)
    assert lookup.of(["movies"]) == first[:1]


def test_words_known_to_have_no_neighbours_are_not_looked_for_again(monkeypatch):
    lookup = SimilarWords(vectors(), tiny_lm().splitter, 2, False)
    table = lookup.table(["movies", "zzz"])
    expected = lookup.of(["movies", "zzz"])
    again = SimilarWords(vectors(), tiny_lm().splitter, 2, False)
    again.known = KnownNeighbours(table)
    monkeypatch.setattr(similar, "similar_words", lambda *_: pytest.fail("looked for again"))
    assert again.of(["movies", "zzz"]) == expected


def test_what_is_remembered_takes_little_memory():
    # A worker keeps up to REMEMBERED words whatever the data: 50,000 of them 30 MB, as tuples 250 MB.
    letters = "bcdfghjklmnpqrstvwxz"
    words = [f"mo{first}e{second}i{third}" for first in letters for second in letters for third in letters[:10]]
    lookup = SimilarWords(
        vectors_from_arrays(words, np.random.default_rng(0).normal(size=(4000, 8))), tiny_lm().splitter, 20, False
    )
    lookup.of(words[:10])
    tracemalloc.start()
    found = [len(one) for one in lookup.of(words[:2000])]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [20] * 2000
    assert taken / 2000 < 700
    assert similar.REMEMBERED * taken / 2000 < 40e6


def test_scores_are_remembered_as_they_were_found():
    lookup = SimilarWords(vectors(), tiny_lm().splitter, 3, False)
    assert lookup.of(["movies", "zzz"]) == lookup.of(["movies", "zzz"])
    assert lookup.of(["movies"])[0] == similar_words(vectors(), ["movies"], 3, lookup._accept)[0]


def test_threads_reach_the_search(monkeypatch):
    asked = []
    monkeypatch.setattr("glove.neighbours._in_threads", lambda *given: asked.append(given[2]))
    for threads in (1, 3, None):
        finder = CandidateFinder(tiny_lm(), tiny_vectors(), CandidateSettings(k=2), threads=threads)
        finder.find(["gripping film"])
    assert set(asked) == {1, 3, None}


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
    finder = CandidateFinder(tiny_lm(), None, CandidateSettings(k=2))
    found = finder.find(["gripping film"])
    assert np.diff(found.offsets).tolist() == [0, 2]
    assert found.counts["words_with_glove_candidates"] == 0
    assert found.counts["multi_piece_words"] == 1
