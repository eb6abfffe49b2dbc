"""The Python interface as its documentation shows it."""

from __future__ import annotations

import pytest

from augment import Augmenter, Edit, Variant
from augment.errors import AugmentError
from augment.presets import CandidateSettings
from glove import VectorsError
from tests.augment.helpers import TEXTS, tiny_lm, tiny_vectors
from tests.augment.test_words import check_edits


@pytest.fixture(scope="module")
def augmenter():
    return Augmenter(tiny_lm(), tiny_vectors(), CandidateSettings(k=5))


def test_the_documented_example(mlm_folder, glove_file):
    augmenter = Augmenter.from_pretrained(mlm_folder, glove=glove_file, device="cpu")
    (variants,) = augmenter.augment(["a gripping film"], n=20, p=0.4, seed=0)
    assert len(variants) == 20
    assert all(isinstance(variant, Variant) for variant in variants)
    edits = [edit for variant in variants for edit in variant.edits]
    assert all(isinstance(edit, Edit) for edit in edits)
    assert {edit.source for edit in edits} == {"mlm", "glove"}
    for edit in edits:
        assert "a gripping film"[edit.start : edit.end] == edit.original
        assert 0 <= edit.rank < 20
        assert (edit.source == "glove") == (edit.original == "gripping")
    for variant in variants:
        check_edits("a gripping film", variant.text, [vars(edit) for edit in variant.edits])
    assert len({variant.text for variant in variants}) > 5


def test_the_same_seed_gives_the_same(augmenter):
    first = augmenter.augment(TEXTS, n=3, seed=1)
    assert augmenter.augment(TEXTS, n=3, seed=1) == first
    assert augmenter.augment(TEXTS, n=3, seed=2) != first
    assert [len(variants) for variants in first] == [3] * len(TEXTS)


def test_more_texts_than_are_taken_at_once(monkeypatch):
    def variants():
        return Augmenter(tiny_lm(), tiny_vectors(), CandidateSettings(k=5, exclude_original=True)).augment(
            TEXTS, n=2, seed=1
        )

    expected = variants()
    monkeypatch.setattr("augment.calls.TEXTS_AT_ONCE", 4)
    found = variants()
    # other batches may change the last bits of scores, not the places of the draws
    assert places(found) == places(expected)
    assert sum(one != other for one, other in zip(found, expected, strict=True)) <= 2


def places(variants_of_texts):
    return [[[edit.start for edit in variant.edits] for variant in variants] for variants in variants_of_texts]


def test_the_running_preset(mlm_folder, glove_file):
    augmenter = Augmenter.from_pretrained(str(mlm_folder), glove_file, preset_name="algorithm1", device="cpu", k=3)
    found = augmenter.augment([*TEXTS[:3], ""], n=4, p=0.8)
    assert [len(variants) for variants in found] == [4] * 4
    assert {edit.source for variants in found for variant in variants for edit in variant.edits} == {"mlm", "glove"}
    assert {edit.rank for variants in found for variant in variants for edit in variant.edits} <= {0, 1, 2}


@pytest.mark.parametrize("texts", [[], [""], ["", "!"]])
@pytest.mark.parametrize("context", ["original", "running"])
def test_nothing_to_replace(texts, context):
    augmenter = Augmenter(tiny_lm(), None, CandidateSettings(context=context))
    assert augmenter.augment(texts, n=2) == [[Variant(text, ())] * 2 for text in texts]


def test_n_and_p_of_nothing(augmenter):
    assert augmenter.augment(["good film"], n=0) == [[]]
    assert augmenter.augment(["good film"], n=2, p=0) == [[Variant("good film", ())] * 2]


def test_unique_variants(augmenter):
    (variants,) = augmenter.augment(["good film"], n=10, p=0.5, unique=True)
    texts = [variant.text for variant in variants]
    assert len(set(texts)) == len(texts) > 5
    assert "good film" not in texts


def test_other_sequences_of_strings(augmenter):
    expected = augmenter.augment(["good film", "bad plot"], n=1)
    assert augmenter.augment(("good film", "bad plot"), n=1) == expected
    assert augmenter.augment((text for text in ["good film", "bad plot"]), n=1) == expected


@pytest.mark.parametrize(
    "texts", ["good film", None, 3, [None], ["good", b"film"], [["good"]], b"good", ["\ud800 film"]]
)
def test_wrong_input(augmenter, texts):
    with pytest.raises(AugmentError, match=r"^texts: expected"):
        augmenter.augment(texts)
    with pytest.raises(AugmentError, match=r"^texts: expected"):
        augmenter.candidates(texts)


@pytest.mark.parametrize(("name", "value"), [("n", -1), ("p", 2), ("seed", -5), ("n", 1.5)])
def test_settings_out_of_range(augmenter, name, value):
    with pytest.raises(AugmentError, match=f"^{name}: expected"):
        augmenter.augment(["good"], **{name: value})


def test_a_text_that_is_too_long_is_named():
    augmenter = Augmenter(tiny_lm(), settings=CandidateSettings(max_words=3))
    with pytest.raises(AugmentError, match=r"text 1: expected at most 3 words .*found 4"):
        augmenter.augment(["good film", "one two three four"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "precision: expected one of auto, fp32, tf32, bf16, fp16"),
        ({"preset_name": "best"}, "preset: "),
        ({"k": 0}, "k: "),
        ({"colour": 1}, "no setting is named colour"),
        ({"n": 5}, "n: expected as argument of augment"),
        ({"protect": "not"}, "protect: "),
    ],
)
def test_wrong_options(mlm_folder, options, message):
    with pytest.raises(AugmentError, match=message):
        Augmenter.from_pretrained(mlm_folder, device="cpu", **options)


def test_missing_vectors_and_model(mlm_folder, tmp_path):
    with pytest.raises(VectorsError):
        Augmenter.from_pretrained(mlm_folder, glove=tmp_path / "none.txt")
    with pytest.raises(AugmentError, match="found no folder"):
        Augmenter.from_pretrained(tmp_path / "none")


def test_candidates_to_look_at(augmenter):
    found = augmenter.candidates(["a gripping film"])
    assert [len(found.of_word(word)) for word in range(3)] == [5, 5, 5]
    scores = [score for _, score in found.of_word(2)]
    assert scores == sorted(scores, reverse=True)


def test_settings_reach_the_candidates(mlm_folder):
    augmenter = Augmenter.from_pretrained(mlm_folder, device="cpu", preset_name="official", k=4, protect=("film",))
    found = augmenter.candidates(["the good film 10"])
    assert found.starts.tolist() == [4]
    assert len(found.of_word(0)) == 4


def test_the_preset_for_own_texts(mlm_folder, glove_file):
    augmenter = Augmenter.from_pretrained(mlm_folder, glove_file, device="cpu", preset_name="texts", k=4)
    text = "the U.S. film isn't good"
    (variants,) = augmenter.augment([text], n=30, p=0.8)
    texts = [variant.text for variant in variants]
    assert len({text, *texts}) == len(texts) + 1 > 20
    assert all("U.S." in found and "isn't" in found for found in texts)
