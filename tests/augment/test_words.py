"""Properties of words, edits and variants on arbitrary Unicode text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.presets import DrawSettings
from augment.running import RunningDrawer
from augment.sites import find_sites
from augment.variants import draw_variants
from tests.augment.helpers import TEXTS, tiny_finder, tiny_lm
from tests.fixtures import GLOVE_WORDS, SPECIAL, VOCABULARY, WHOLE_WORDS
from tests.oracles import plain_words as oracle

NUMBERS = {token: number for number, token in enumerate(VOCABULARY)}
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FRAGMENT = st.one_of(
    st.sampled_from(
        [*WHOLE_WORDS, *GLOVE_WORDS, "Movies", "FILM", "[MASK]", "[SEP]", "[CLS]", "##ing", "中", "é", "e\u0301"]
    ),
    ANY_TEXT,
    st.sampled_from(
        ["\0", "\u200b", "\u00a0", "\n", "\t", "\u0301", "\ufe0f", "\u202e", "\ufffd", "🙂", "שלום", "\ud7a3"]
    ),
)
TEXT = st.builds(
    lambda parts, joint: joint.join(parts), st.lists(FRAGMENT, max_size=12), st.sampled_from(["", " ", " ", "-"])
)

SPLITTER = tiny_lm().splitter
FINDERS = {context: tiny_finder(4, k=8, context=context) for context in ("original", "running")}


def split(text):
    """The words of one text, and their spellings."""
    words = SPLITTER.split([text])
    return words, words.spellings(np.arange(len(words.starts)))


@settings(deadline=None)
@given(st.lists(TEXT, max_size=3))
def test_words_are_sorted_and_do_not_overlap(texts):
    words = SPLITTER.split(texts)
    assert words.texts == texts
    for number, text in enumerate(texts):
        cursor = token = 0
        for word in range(*words.offsets[number : number + 2]):
            assert words.texts_of(word) == number
            assert cursor <= words.starts[word] < words.ends[word] <= len(text)
            assert words.tokens[word] >= token
            assert words.pieces[word] >= 1
            assert words.spellings([word])[0].strip() != ""
            cursor, token = words.ends[word], words.tokens[word] + words.pieces[word]
        ids = words.rows.row(number)
        assert token <= len(ids)
        assert set(ids).isdisjoint({NUMBERS["[CLS]"], NUMBERS["[SEP]"], NUMBERS["[MASK]"], NUMBERS["[PAD]"]})


@pytest.mark.parametrize(
    "text", [*TEXTS, "film\u0301, x\u0301\u0302y", "\u0301film", "a\0b \0film\0 so\u00adft", "İstanbul ǅ"]
)
def test_words_are_those_of_the_plain_tokenizer(text):
    words, _ = split(text)
    expected, ids = oracle.split(text, NUMBERS), words.rows.row(0)
    spans = zip(words.starts, words.ends, words.tokens, words.pieces, strict=True)
    found = [
        (start, end, tuple(VOCABULARY[piece] for piece in ids[token : token + pieces]))
        for start, end, token, pieces in spans
    ]
    assert found == [(word.start, word.end, word.pieces) for word in expected]
    assert words.single_piece.tolist() == [word.single_piece for word in expected]


# Python and the Rust crate know different Unicode versions: only characters both have known for long.
LONG_KNOWN = st.characters(max_codepoint=0x6FF, exclude_categories=["Cn", "Cs", "Mn"], exclude_characters="\u061d")


@settings(deadline=None)
@given(st.text(LONG_KNOWN, max_size=20))
def test_words_of_european_and_near_eastern_scripts_are_those_of_the_plain_tokenizer(text):
    words, _ = split(text)
    assert list(zip(words.starts, words.ends, strict=True)) == [span[:2] for span in oracle.basic_words(text)]


@pytest.mark.parametrize("token", SPECIAL)
def test_special_tokens_in_a_text_are_ordinary_text(token):
    words, spellings = split(f"film {token} dog")
    assert spellings == ["film", "[", token[1:-1], "]", "dog"]
    assert NUMBERS[token] not in words.rows.ids or token == "[UNK]"


def test_an_accent_goes_with_its_letter():
    # An uncased tokenizer strips it; left behind it would stand on the replacement's last letter.
    assert split("cafe\u0301 film\u0301.")[1] == ["cafe\u0301", "film\u0301", "."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("film", True),
        ("中", True),
        ("é", True),
        ("", False),
        (" film", False),
        ("film ", False),
        ("two words", False),
        ("don't", False),
        ("中文", False),
        ("film中", False),
        ("!", True),
        ("!!", False),
        ("[MASK]", False),
    ],
)
def test_one_word(text, expected):
    assert SPLITTER.is_one_word(text) is expected


@pytest.mark.parametrize("context", ["original", "running"])
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=4), seed=st.integers(0, 2**64 - 1), p=st.sampled_from([0.3, 1.0]))
def test_edits_and_variants_say_the_same(context, texts, seed, p):
    finder = FINDERS[context]
    candidates = finder.find(texts)
    assert candidates.errors == {}
    drawer = {"drawer": RunningDrawer(finder, candidates)} if context == "running" else {}
    numbers = np.arange(len(texts))
    batch = draw_variants(
        find_sites(candidates, context == "running"),
        numbers,
        numbers[:, None],
        ["text"],
        DrawSettings(n=3, p=p, seed=seed),
        **drawer,
    )
    assert len(batch.rows) == 4 * len(texts)
    for row, variant, edits in zip(batch.rows, batch.texts[0].to_pylist(), batch.edits.to_pylist(), strict=True):
        check_edits(texts[row], variant, edits)


def is_basic_word(text):
    return len(oracle.basic_words(text)) == 1


def check_edits(text, variant, edits, is_one_word=is_basic_word):
    forwards, backwards, cursor, reached = [], [], 0, 0
    for edit in edits:
        assert cursor <= edit["start"] < edit["end"] <= len(text)
        assert text[edit["start"] : edit["end"]] == edit["original"]
        assert edit["original"] != edit["replacement"]
        between = text[cursor : edit["start"]]
        assert variant[reached : reached + len(between)] == between  # untouched text is the same, byte by byte
        start = reached + len(between)
        assert variant[start : start + len(edit["replacement"])] == edit["replacement"]
        forwards += [between, edit["replacement"]]
        backwards += [variant[reached:start], edit["original"]]
        cursor, reached = edit["end"], start + len(edit["replacement"])
        check_replacement(edit["replacement"], is_one_word)
    assert "".join([*forwards, text[cursor:]]) == variant
    assert "".join([*backwards, variant[reached:]]) == text


def check_replacement(replacement, is_one_word=is_basic_word):
    assert replacement.isprintable()
    assert "[" not in replacement
    assert "#" not in replacement
    assert any(character.isalnum() for character in replacement)
    assert is_one_word(replacement)


def test_candidates_never_hold_special_tokens_or_pieces():
    spellings = FINDERS["original"].find(TEXTS).spellings
    assert len(spellings) > 50
    for spelling in spellings:
        check_replacement(spelling)
