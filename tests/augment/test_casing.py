"""Case patterns (design section 3)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.casing import (
    AS_IS,
    FIRST_LOWER,
    FIRST_TITLE,
    LOWER,
    TITLE,
    UPPER,
    apply_case,
    case_pattern,
    is_cased,
    own_case_pattern,
)


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


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("|Film is", FIRST_TITLE),
        ('"(|Film is', FIRST_TITLE),
        ("He left. |Film", FIRST_TITLE),
        ('He left." - |Film', FIRST_TITLE),
        ("Ja!\u00a0 |Film", FIRST_TITLE),
        ("one line\n|Film", FIRST_TITLE),
        ("Das |Haus", AS_IS),
        ("Der (|Film)", AS_IS),
        ("say: |Film", AS_IS),
        ("|film is", FIRST_LOWER),
        ("... '|film is", FIRST_LOWER),
        ("e.g. |berlin", AS_IS),
        ("the |film", AS_IS),
        ("The |FILM", UPPER),
        ("|FILM", UPPER),
        ("an |iPhone", AS_IS),
        ("|7 films", AS_IS),
        (" " * 40 + "|Film", FIRST_TITLE),
        ("word" + " " * 40 + "|Film", AS_IS),
    ],
)
def test_where_a_candidate_of_a_cased_vocabulary_gives_up_its_own_case(text, pattern):
    before, _, rest = text.partition("|")
    word = rest.split()[0].strip(")")
    assert own_case_pattern(word, before + rest, len(before)) == pattern


@pytest.mark.parametrize(
    ("replacement", "pattern", "written"),
    [
        ("Berlin", AS_IS, "Berlin"),
        ("USA", AS_IS, "USA"),
        ("iPhone", AS_IS, "iPhone"),
        ("he", AS_IS, "he"),
        ("Berlin", UPPER, "BERLIN"),
        ("he", FIRST_TITLE, "He"),
        ("Berlin", FIRST_TITLE, "Berlin"),
        ("iPhone", FIRST_TITLE, "iPhone"),
        ("USA", FIRST_LOWER, "USA"),
        ("The", FIRST_LOWER, "the"),
    ],
)
def test_own_case(replacement, pattern, written):
    assert apply_case(replacement, pattern) == written


def test_a_few_capitals_make_no_cased_vocabulary():
    words = [f"word{number}" for number in range(200)]
    assert not is_cased([*words, "Odd", "ODD"])
    assert is_cased([*words, "Odd", "ODD", "One"])
    assert not is_cased([])
