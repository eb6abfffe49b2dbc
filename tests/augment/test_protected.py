"""Protected words stay: words, phrases, and expressions that span words."""

from __future__ import annotations

import numpy as np
import pytest

from augment import Augmenter
from augment.errors import AugmentError
from augment.kept import WordSorter, kept_counts, protected_by_entry
from augment.presets import CandidateSettings
from augment.protected import Protected, overlapped
from tests.augment.helpers import TEXTS, tiny_finder, tiny_lm, tiny_vectors
from tests.oracles.plain_words import protected_spans

SPLITTER = tiny_lm().splitter
INVISIBLE = [
    text.replace(" ", between).replace("oo", f"o{mark}o").replace("'", "\u2019")
    for text in ("the film is very good", "don't, good movies: the films.")
    for mark in ("\u200b", "\u00ad", "\ufeff", "\u200f", "\x1c", "\x85", "\ufffd", "\ue000", "\U000e0001")
    for between in (f" {mark}", f"{mark} ", f"{mark} {mark}", f" {mark} ")
]


def kept(text, *protect):
    """Spellings of the words of a text that are protected."""
    words = SPLITTER.split([text])
    places = {place for place, _ in Protected(protect).places(text, words.starts.tolist(), words.ends.tolist())}
    return words.spellings(np.array(sorted(places), dtype=np.int64))


@pytest.mark.parametrize(
    ("text", "protect", "expected"),
    [
        ("Not nothing, NEVER knots", ("not", "never"), "Not NEVER"),
        ("die STRASSE", ("straße",), "STRASSE"),
        ("Berlin berlin", (r"/\b[A-Z]/",), "Berlin"),
        ("ungood good goods", (r"/good\b/",), "ungood good"),
        ("good films good", ("/^good/",), "good"),
        ("a/b", ("/",), "/"),
        ("I don't; Don 't don t", ("don't",), "don ' t Don ' t"),
        ("it does n't don't", ("n't",), "n ' t"),
        ("in New York, new  york and York, new", ("New York",), "New York new york"),
        ("state-of-the-art of the art", ("state-of-the-art",), "state - of - the - art"),
        ("very very good", ("very good", "very very"), "very very good"),
        ("中文 film", ("中文",), "中 文"),
        ("café", ("CAFÉ",), "café"),
        ("cafe\u0301s cafe\u0301", ("cafe\u0301",), "cafe\u0301"),
        ("cafe\u0301 CAF\u00c9 cafe", ("caf\u00e9",), "cafe\u0301 CAF\u00c9"),
        ("cafe\u0301 CAF\u00c9 cafe", ("cafe\u0301",), "cafe\u0301 CAF\u00c9"),
        ("I don\u2019t, don't", ("don't",), "don \u2019 t don ' t"),
        ("I don\u2019t, don't", ("don\u2019t",), "don \u2019 t don ' t"),
        ("not\u200b good", ("not",), "not"),
        ("not\u00ad not", ("not",), "not not"),
        ("\ufeffnot \u200enot\u200f", ("not",), "not not"),
        ("no\u200bt \x00no\x1bt\x85 \ufffdnot\x0b", ("not",), "no\u200bt no\x1bt not"),
        ("\u203c\ufe0fnot so", ("not so",), "not so"),
        ("New\u200b York, New \u200bYork, New \u200b York", ("new york",), "New York New York New York"),
        ("do\u00adn\u2019t", ("don't",), "do\u00adn \u2019 t"),
        ("not nots", ("n\u200bot",), "not"),
        ("a\tb \n c\rd", ("a b c d",), "a b c d"),
        ("ask help@example.org, not me", (r"/\S+@\S+/",), "help @ example . org ,"),
        ("see TCK-4711 and TCK 4711", (r"/TCK-\d+/",), "TCK - 4711"),
        ("from 9 to five o'clock", (r"/\d to \w+/",), "9 to five"),
        ("two\nlines here", (r"/two\s+lines/",), "two lines"),
        ("half of afilmb", ("/ilm/",), "afilmb"),
        ("every word", ("/x*/",), ""),
        ("film", (), ""),
        ("", ("film",), ""),
    ],
)
def test_what_stays(text, protect, expected):
    assert kept(text, *protect) == expected.split()


@pytest.mark.parametrize(
    ("span", "words"), [((0, 9), [0, 1, 2]), ((3, 4), []), ((2, 5), [0, 1]), ((5, 5), []), ((9, 12), [])]
)
def test_a_word_is_overlapped_by_one_character(span, words):  # fmt: skip
    assert list(overlapped([0, 4, 7], [3, 6, 9], *span)) == words


@pytest.mark.parametrize("entries", [("the film", "/l[^ ]* /", "don't"), ("good", "/a.*b/", "movies"), ("is very",)])
def test_by_the_plain_rule(entries):
    for text in (*TEXTS, *INVISIBLE):
        spans = protected_spans(text, entries)
        words = SPLITTER.split([text])
        of_words = zip(words.starts, words.ends, strict=True)
        expected = [text[a:b] for a, b in of_words if any(start < b and a < end for start, end in spans)]
        assert kept(text, *entries) == expected


def test_words_are_counted_by_entry_and_once_in_all():
    settings = CandidateSettings(protect=("very good", "/very/", "absent", "!"), keep_whole=True)
    words = SPLITTER.split(["a very very good film! don't"])
    found = WordSorter(settings).sort(words, 0)
    assert kept_counts([found, found]) == {"protected_words": 6, "whole_words": 4}
    # punctuation would have stayed anyway: no word is protected by it
    assert protected_by_entry([found] * 2, settings.protect) == {"very good": 4, "/very/": 4}
    assert protected_by_entry([found] * 2, settings.protect, [3, 0]) == {"very good": 6, "/very/": 6}
    assert kept_counts([found] * 2, [1, 4]) == {"protected_words": 15, "whole_words": 10}
    assert words.spellings(found.free) == ["a", "film"]


@pytest.mark.parametrize("context", ["original", "running"])
def test_the_finder_counts_what_it_keeps(context):
    finder = tiny_finder(k=3, protect=("film", r"/y\b/", "absent"), context=context, max_words=20)
    found = finder.find(["the film is very good", "Film!", "film " * 21])
    # a rejected text has no words
    assert protected_by_entry(found.kept, finder.settings.protect) == {"film": 2, r"/y\b/": 1}
    assert found.counts["protected_words"] == 3
    assert found.counts["eligible_words"] == 3


@pytest.mark.parametrize("entry", ["\u200b", "\ufffd", "\ufe0f", "\0", "\u0301", "", "  ", 3, "/(/"])
def test_an_entry_without_words_is_refused(entry):
    with pytest.raises(AugmentError, match="protect: "):
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
