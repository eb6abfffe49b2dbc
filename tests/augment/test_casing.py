"""Case patterns (design section 3)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.casing import AS_IS, LOWER, TITLE, UPPER, apply_case, case_pattern


@pytest.mark.parametrize(
    ("word", "pattern"),
    [
        ("film", LOWER),
        ("ä", LOWER),
        ("3d", LOWER),
        ("FILM", UPPER),
        ("OK", UPPER),
        ("ÄÖ", UPPER),
        ("3DX", UPPER),
        ("I", TITLE),
        ("Film", TITLE),
        ("Äpfel", TITLE),
        ("B2", TITLE),
        ("ǅungla", TITLE),
        ("iPhone", AS_IS),
        ("McDonald", AS_IS),
        ("eBAY", AS_IS),
        ("3D", AS_IS),
        ("42", AS_IS),
        ("中", AS_IS),
        ("שלום", AS_IS),
        ("", AS_IS),
    ],
)
def test_patterns(word, pattern):
    assert case_pattern(word) == pattern


@pytest.mark.parametrize(
    ("replacement", "like", "written"),
    [
        ("movie", "film", "movie"),
        ("Paris", "film", "paris"),
        ("movie", "FILM", "MOVIE"),
        ("movie", "Film", "Movie"),
        ("movie", "I", "Movie"),
        ("PARIS", "Film", "Paris"),
        ("Paris", "iPhone", "Paris"),
        ("movie", "42", "movie"),
        ("10", "Film", "10"),
        ("中", "FILM", "中"),
        ("ﬁlm", "Movie", "Film"),
        ("ǆungla", "Film", "ǅungla"),
        ("straße", "FILM", "STRASSE"),
    ],
)
def test_replacements_follow_the_word(replacement, like, written):
    assert apply_case(replacement, case_pattern(like)) == written


@settings(deadline=None)
@given(st.text(st.characters(categories=["Lu", "Ll", "Lt", "Lo", "Nd"]), max_size=6))
def test_a_word_in_its_own_case_is_itself(word):
    # A drawn candidate that equals the word must be an identity draw.
    if case_pattern(word) == AS_IS or word.isascii():
        assert apply_case(word, case_pattern(word)) == word
