"""Which words may be replaced, and which vocabulary entries may replace them."""

from __future__ import annotations

import pytest

from augment.presets import CandidateSettings
from augment.vocabulary import read_vocabulary
from augment.words import eligibility
from tests.augment.helpers import tiny_finder, tiny_lm
from tests.fixtures import PIECES, PUNCTUATION, SPECIAL, VOCABULARY, WHOLE_WORDS, tiny_tokenizer


@pytest.mark.parametrize(
    ("word", "settings", "expected"),
    [
        ("film", {}, True),
        ("10", {}, True),
        ("é", {}, True),
        ("中", {}, True),
        ("the", {}, True),
        ("!", {}, False),
        ("…", {}, False),
        ("❤", {}, False),
        ("!", {"punctuation": True}, True),
        ("The", {"skip_stopwords": True}, False),
        ("don", {"skip_stopwords": True}, False),
        ("10", {"skip_stopwords": True}, False),
        ("café", {"skip_stopwords": True}, False),
        ("x1", {"skip_stopwords": True}, False),
        ("Film", {"skip_stopwords": True}, True),
        ("!", {"skip_stopwords": True, "punctuation": True}, False),
    ],
)
def test_eligible_words(word, settings, expected):
    assert eligibility(CandidateSettings(**settings))(word) is expected


def test_only_eligible_words_get_candidates():
    finder = tiny_finder(k=3, skip_stopwords=True, protect=("Film", r"/\bgr/"))
    text = "The film, a gripping movie 10 times sad!"
    found = finder.find([text])
    words = [text[start:end] for start, end in zip(found.starts, found.ends, strict=True)]
    assert words == ["movie", "times", "sad"]


def test_proposable_vocabulary():
    words = {token for token, may in zip(*_vocabulary(), strict=True) if may}
    letters = {token for token in VOCABULARY if len(token) == 1 and token.isalnum()}
    assert words == {*WHOLE_WORDS, *letters, "中", "文"}
    assert words.isdisjoint([*SPECIAL, *PIECES, *PUNCTUATION[:-2], "[unused0]", "[unused1]"])


def test_punctuation_is_proposed_where_allowed():
    assert {token for token, may in zip(*_vocabulary(True), strict=True) if may} > set(PUNCTUATION)


def test_added_tokens_control_characters_and_missing_ids_are_not_proposed():
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["newword"])
    splitter = tiny_lm().splitter
    vocabulary = read_vocabulary(tokenizer, splitter, len(VOCABULARY) + 10, punctuation=False)
    assert vocabulary.tokens[len(VOCABULARY)] == "newword"
    assert not vocabulary.proposable[len(VOCABULARY) :].any()
    assert len(vocabulary.proposable) == len(VOCABULARY) + 10


def _vocabulary(punctuation=False):
    vocabulary = tiny_lm(punctuation=punctuation).vocabulary
    return vocabulary.tokens, vocabulary.proposable.tolist()
