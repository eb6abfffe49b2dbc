"""The Python interface, call by call: what a variant depends on, ids, bad texts, tables."""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
import pyarrow as pa
import pytest

from augment import Augmenter, AugmentError, SkippedTextsWarning
from augment.presets import CandidateSettings, DrawSettings
from augment.sites import find_sites
from augment.variants import draw_variants
from tests.augment.helpers import TEXTS, tiny_finder, tiny_lm
from tests.augment.test_draw import table
from tests.augment.test_proposals import failing, poisoned
from tests.oracles import plain_words as oracle

DIFFERENT = list(dict.fromkeys(TEXTS))
WORDS = [(f"w{number}", 0.5) for number in range(20)]


def by_hand(texts):
    """An augmenter of texts whose first three letters have 20 candidates."""
    return Augmenter.from_candidates(table(texts, [[(0, 3, 0, WORDS)] for _ in texts]))


def cut(texts, size):
    return [texts[start : start + size] for start in range(0, len(texts), size)]


# --- what a variant depends on ---------------------------------------------------------------------------------


def test_texts_in_calls_of_their_own_replace_their_first_word_with_probability_p():
    sentences = [f"abc number {number}" for number in range(40)]
    augmenter = by_hand(sentences)
    counts = [
        sum(len(augmenter.augment([text], n=1, p=0.4, seed=seed)[0][0].edits) for text in sentences)
        for seed in range(10)
    ]
    assert all(5 <= count <= 30 for count in counts)  # of 40; the mean is 16, sigma 3.1
    assert abs(sum(counts) - 160) < 5 * 9.8


@pytest.mark.parametrize("text", ["abc film", "中文x é", "abc"])
def test_a_text_is_drawn_by_its_hash_and_its_occurrence(text):
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()
    found = by_hand([text, "xyz"]).augment([text, "xyz", text, text], n=5, p=0.7, seed=9)
    for occurrence, place in enumerate((0, 2, 3)):
        for number, variant in enumerate(found[place], start=1):
            counters = 9, (int.from_bytes(digest, "little") + occurrence) % 2**64, 0, number, 0
            rank = oracle.below(oracle.hash_of(*counters, 1), 20)
            drawn = oracle.uniform(oracle.hash_of(*counters, 0)) < 0.7
            assert variant.text == (f"w{rank}" + text[3:] if drawn else text)


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize(("limit", "at_once"), [("TEXTS", 2048), ("TEXTS", 4), ("VARIANTS", 10)])
def test_how_texts_are_cut_into_calls_does_not_matter(stored, monkeypatch, size, limit, at_once):
    expected = stored.augment(DIFFERENT, n=3, seed=1)
    monkeypatch.setattr(f"augment.calls.{limit}_AT_ONCE", at_once)
    assert [one for part in cut(DIFFERENT, size) for one in stored.augment(part, n=3, seed=1)] == expected


@pytest.mark.parametrize("context", ["original", "running"])
def test_equal_texts_of_a_call_are_numbered_by_occurrence(monkeypatch, context):
    augmenter = Augmenter(tiny_lm(), None, CandidateSettings(k=9, context=context))
    texts = ["the film is good", "a bad plot", "the film is good", "one", "two", "the film is good"]
    first, plot, second, _, _, third = found = augmenter.augment(texts, n=3, p=0.9)
    assert first != second != third != first
    assert augmenter.augment(["the film is good", "the film is good"], n=3, p=0.9) == [first, second]
    assert augmenter.augment(["a bad plot"], n=3, p=0.9) == [plot]
    monkeypatch.setattr("augment.calls.TEXTS_AT_ONCE", 2)
    assert augmenter.augment(texts, n=3, p=0.9) == found
    assert augmenter.augment_table(texts, n=3, p=0.9)["source_idx"].to_pylist() == sorted(list(range(6)) * 4)


def test_equal_texts_go_through_the_model_once():
    finder = tiny_finder(k=3)
    augmenter = Augmenter(finder.model, None, finder.settings)
    shapes = failing(finder, lambda _: None)
    augmenter.augment(["good film", "bad"] * 50, n=1)
    assert sum(copies for copies, _ in shapes) == 3


def test_another_seed_draws_anew(stored):
    epochs = [stored.augment(DIFFERENT, n=1, seed=epoch) for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


# --- ids -------------------------------------------------------------------------------------------------------


def test_ids_draw_as_a_job_draws_its_rows(augmenter):
    rows = np.array([7, 0, 2**40, 3])
    texts = [*DIFFERENT[:3], DIFFERENT[0]]
    settings = DrawSettings(n=4, p=0.6, seed=5)
    candidates = augmenter.candidates(DIFFERENT[:3])
    batch = draw_variants(find_sites(candidates), rows, np.array([[0], [1], [2], [0]]), ["text"], settings)
    found = augmenter.augment_table(texts, n=4, p=0.6, seed=5, ids=rows)
    assert found["text"].to_pylist() == batch.texts[0].to_pylist()
    assert found["source_idx"].to_pylist() == batch.rows.tolist()


def test_equal_ids_give_equal_texts_equal_variants(stored):
    text = DIFFERENT[0]
    first, second, third = stored.augment([text] * 3, n=3, ids=[4, -(2**63), 4])
    assert first == third != second
    assert stored.augment([text], n=3, ids=(one for one in [-(2**63)])) == [second]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1], "ids: expected one for each of 2 texts, found 1"),
        ([1, 2, 3], "ids: expected one for each of 2 texts, found 3"),
        ([1, 2.0], "ids: expected integers"),
        (["a", "b"], "ids: expected integers"),
        ([1, 2**63], "ids: expected integers"),
        (3, "ids: expected integers"),
    ],
)
def test_ids_that_do_not_fit(stored, ids, message):
    with pytest.raises(AugmentError, match=message):
        stored.augment(DIFFERENT[:2], ids=ids)


# --- bad texts -------------------------------------------------------------------------------------------------


BAD = [None, "the film is good", "\ud800", b"good", "one two three four five six", "a bad plot", "the film is good"]
GOOD = ["the film is good", "a bad plot", "the film is good"]


@pytest.mark.parametrize("context", ["original", "running"])
def test_bad_texts_are_skipped_and_named(context):
    augmenter = Augmenter(tiny_lm(), None, CandidateSettings(k=5, context=context, max_words=5))
    expected = augmenter.augment(GOOD, n=2, p=0.9)
    with pytest.warns(SkippedTextsWarning, match=r"^skipped 4 texts: text 0: expected a string.*; text 2: .*") as seen:
        found = augmenter.augment(BAD, n=2, p=0.9, errors="skip")
    assert found == [[], expected[0], [], [], [], expected[1], expected[2]]
    assert seen[0].filename == __file__
    assert seen[0].message.reasons == {
        0: "expected a string, found NoneType",
        2: r"expected Unicode text, found half a surrogate pair in '\ud800'",
        3: "expected a string, found bytes",
        4: "expected at most 5 words (--max-words), found 6",
    }
    with pytest.warns(SkippedTextsWarning) as seen:
        rows = augmenter.augment_table(BAD, n=2, p=0.9, errors="skip")
    assert seen[0].filename == __file__
    assert rows["source_idx"].to_pylist() == [1] * 3 + [5] * 3 + [6] * 3


def test_ids_stay_with_their_texts_where_others_are_skipped(stored):
    texts = [DIFFERENT[0], None, DIFFERENT[1], "never seen", DIFFERENT[2]]
    with pytest.warns(SkippedTextsWarning):
        found = stored.augment(texts, n=2, ids=range(5), errors="skip")
    assert found[::2] == stored.augment(DIFFERENT[:3], n=2, ids=[0, 2, 4])


@pytest.mark.parametrize("context", ["original", "running"])
def test_texts_that_the_model_fails_on(context):
    finder = tiny_finder(0, k=3, context=context)
    augmenter = Augmenter(finder.model, None, finder.settings)
    texts = ["the film is good", "red fish and blue bird", "a bad plot", "red fish and blue bird"]
    expected = augmenter.augment(texts, n=2, p=0.5, seed=1)
    failing(finder, poisoned)
    augmenter = Augmenter(finder.model, None, finder.settings)  # the other one remembers its texts
    with pytest.warns(SkippedTextsWarning) as seen:
        found = augmenter.augment(texts, n=2, p=0.5, seed=1, errors="skip")
    assert found == [expected[0], [], expected[2], []]
    assert seen[0].message.reasons == dict.fromkeys([1, 3], "FloatingPointError: the masked LM gave")
    with pytest.raises(AugmentError, match=r"^text 1: FloatingPointError"):
        augmenter.augment(texts, n=2, p=0.5, seed=1)


def test_an_error_names_the_index_in_the_call(monkeypatch):
    augmenter = Augmenter(tiny_lm(), None, CandidateSettings(k=2, max_words=3))
    texts = [*(f"good {number}" for number in range(6)), *["good 1"] * 3, "one two three four"]
    monkeypatch.setattr("augment.calls.TEXTS_AT_ONCE", 2)
    with pytest.raises(AugmentError, match=r"^text 9: expected at most 3 words"):
        augmenter.augment(texts)
    with pytest.raises(AugmentError, match=r"text 10: expected a string, found int"):
        augmenter.augment([*texts, 5])


def test_nothing_is_said_where_no_text_is_bad(stored):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stored.augment(DIFFERENT, n=1, errors="skip")


def test_every_text_may_be_bad(augmenter):
    with pytest.warns(SkippedTextsWarning, match=r"^skipped 7 texts: .*text 4: [^;]*; and 2 more$"):
        assert augmenter.augment([None] * 7, errors="skip") == [[]] * 7
    with pytest.warns(SkippedTextsWarning, match=r"^skipped 1 text: text 0: [^;]*$"):
        assert augmenter.augment_table([None], errors="skip").num_rows == 0


def test_a_batch_is_no_list_of_texts(augmenter):
    with pytest.raises(AugmentError, match="texts: expected a list of strings, found dict"):
        augmenter.augment({"sentence": ["good film"]})
    with pytest.raises(AugmentError, match="errors: expected one of raise, skip, found 'ignore'"):
        augmenter.augment(["good film"], errors="ignore")


# --- tables ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unique", [None, True])
@pytest.mark.parametrize("at_once", [2048, 4])
def test_a_table_holds_what_the_lists_hold(stored, monkeypatch, unique, at_once):
    expected = stored.augment(TEXTS, n=4, p=0.3, unique=unique)
    monkeypatch.setattr("augment.calls.TEXTS_AT_ONCE", at_once)
    found = stored.augment_table(TEXTS, n=4, p=0.3, unique=unique)
    assert found.schema.names == ["source_idx", "variant", "text", "edits"]
    assert [found.schema.field(name).type for name in ("source_idx", "variant", "text")] == [
        pa.int64(),
        pa.int32(),
        pa.string(),
    ]
    rows = iter(found.to_pylist())
    for index, (text, variants) in enumerate(zip(TEXTS, expected, strict=True)):
        assert next(rows) == {"source_idx": index, "variant": 0, "text": text, "edits": []}
        for number, variant in enumerate(variants, start=1):
            row = next(rows)
            assert (row["source_idx"], row["variant"], row["text"]) == (index, number, variant.text)
            assert row["edits"] == [vars(edit) for edit in variant.edits]
    assert next(rows, None) is None


def test_a_table_of_nothing(augmenter):
    assert augmenter.augment_table([]).schema == augmenter.augment_table(["good film"]).schema
    assert augmenter.augment_table(["good film"], n=0)["text"].to_pylist() == ["good film"]
