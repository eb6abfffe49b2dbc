"""Protected words stay, phrases and words of several pre-tokens too."""

from __future__ import annotations

import pytest

from augment import Augmenter
from augment.errors import AugmentError
from augment.presets import CandidateSettings
from augment.protected import Protected
from tests.augment.helpers import tiny_lm, tiny_vectors

SPLITTER = tiny_lm().splitter


def kept(text, *protect):
    """Spellings of the words of a text that are protected."""
    (worded,) = SPLITTER.split([text])
    places = Protected(protect, SPLITTER).places(worded)
    return [worded.spelling(word) for place, word in enumerate(worded.words) if place in places]


@pytest.mark.parametrize(
    ("text", "protect", "expected"),
    [
        ("Not nothing, NEVER knots", ("not", "never"), "Not NEVER"),
        ("die STRASSE", ("straße",), "STRASSE"),
        ("Berlin berlin", ("/^[A-Z]/",), "Berlin"),
        ("ungood good goods", ("/good$/",), "ungood good"),
        ("a/b", ("/",), "/"),
        ("I don't; Don 't don t", ("don't",), "don ' t Don ' t"),
        ("it does n't don't", ("n't",), "n ' t"),
        ("in New York, new  york and York, new", ("New York",), "New York new york"),
        ("state-of-the-art of the art", ("state-of-the-art",), "state - of - the - art"),
        ("very very good", ("very good", "very very"), "very very good"),
        ("中文 film", ("中文",), "中 文"),
        ("café", ("CAFÉ",), "café"),
        ("film", (), ""),
        ("", ("film",), ""),
    ],
)
def test_what_stays(text, protect, expected):
    assert kept(text, *protect) == expected.split()


@pytest.mark.parametrize("entry", ["\u200b", "\0", "\u0301"])
def test_an_entry_without_words_is_refused(entry):
    with pytest.raises(AugmentError, match="protect: expected words, found none"):
        Protected([entry], SPLITTER)


@pytest.mark.parametrize("entry", ["", "  ", 3])
def test_no_entry_at_all_is_refused(entry):
    with pytest.raises(AugmentError, match="protect: expected words"):
        CandidateSettings(protect=(entry,))


@pytest.mark.parametrize("context", ["original", "running"])
def test_negations_and_names_stay_in_every_variant(context):
    settings = CandidateSettings(k=5, protect=("don't", "new york"), context=context)
    augmenter = Augmenter(tiny_lm(), tiny_vectors(), settings)
    (variants,) = augmenter.augment(["we don't like New York and the new film"], n=30, p=1.0)
    for variant in variants:
        assert "don't" in variant.text
        assert "New York" in variant.text
    # what stands elsewhere is free
    assert {edit.start for variant in variants for edit in variant.edits} >= {0, 23, 31, 35}
