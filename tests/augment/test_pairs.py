"""Pairs of texts and tables of rows in the Python interface; what a call protects."""

from __future__ import annotations

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset

from augment import Augmenter, AugmentError, Edit, SkippedTextsWarning, Variant, augment_table
from augment.presets import CandidateSettings, DrawSettings
from tests.augment.helpers import TEXTS, tiny_lm, tiny_vectors
from tests.augment.test_draw import table
from tests.augment.test_words import check_edits

PAIRS = [*zip(TEXTS, reversed(TEXTS), strict=True)]


def test_both_texts_of_a_pair_vary_together(augmenter):
    found = augmenter.augment(PAIRS, n=3, p=0.5, seed=1)
    for (first, second), variants in zip(PAIRS, found, strict=True):
        for variant in variants:
            edits = {
                name: [vars(edit) for edit in variant.edits if edit.column == name] for name in ("text", "partner")
            }
            check_edits(first, variant.text, edits["text"])
            check_edits(second, variant.partner, edits["partner"])
    assert augmenter.augment([[*pair] for pair in PAIRS], n=3, p=0.5, seed=1) == found
    assert [augmenter.augment([pair], n=3, p=0.5, seed=1)[0] for pair in dict.fromkeys(PAIRS)] == [
        found[PAIRS.index(pair)] for pair in dict.fromkeys(PAIRS)
    ]


def test_a_pair_by_hand():
    candidates = table(["abc", "xyz"], [[(0, 3, 0, [("one", 0.5)])], [(0, 3, 1, [("two", 0.25)])]])
    edits = Edit("text", 0, 3, "abc", "one", "mlm", 0, 0.5), Edit("partner", 0, 3, "xyz", "two", "glove", 0, 0.25)
    for pairs, variants in {
        "joint": [Variant("one", edits, "two")],
        "first": [Variant("one", edits[:1], "xyz")],
        "second": [Variant("abc", edits[1:], "two")],
        "each": [Variant("one", edits[:1], "xyz"), Variant("abc", edits[1:], "two")],
    }.items():
        augmenter = Augmenter.from_candidates(candidates, DrawSettings(n=1, p=1.0, pairs=pairs))
        assert augmenter.augment([("abc", "xyz")]) == [variants]


def test_which_text_varies_is_said_when_the_model_is_loaded(mlm_folder):
    augmenter = Augmenter.from_pretrained(mlm_folder, device="cpu", k=3, pairs="second")
    assert {v.text for variants in augmenter.augment(PAIRS, n=2, p=0.9) for v in variants} <= set(TEXTS)


def test_a_bad_pair_is_named_by_its_index_and_text(augmenter):
    bad = [("good", "film"), ("good", None), "film", ("good", "film", "plot"), (3, "film"), ("bad", "plot")]
    with pytest.raises(AugmentError, match=r"text 1: second: expected a string, found NoneType"):
        augmenter.augment(bad)
    with pytest.warns(SkippedTextsWarning) as seen:
        found = augmenter.augment(bad, n=2, errors="skip")
    assert [len(variants) for variants in found] == [2, 0, 0, 0, 0, 2]
    assert seen[0].message.reasons == {
        1: "second: expected a string, found NoneType",
        2: "expected a pair of texts, as others are, found str",
        3: "expected a pair of texts, as others are, found tuple",
        4: "first: expected a string, found int",
    }
    with pytest.raises(AugmentError, match="text 1: expected a string, found tuple"):
        augmenter.augment(["good", ("bad", "plot")])
    short = Augmenter(tiny_lm(), None, CandidateSettings(k=2, max_words=3))
    with pytest.raises(AugmentError, match=r"^text 1: expected at most 3 words"):
        short.augment([("good", "film"), ("bad", "one two three four")])


@pytest.mark.parametrize("context", ["original", "running"])
def test_a_call_protects_as_the_settings_do(context):
    entries = ("film", "/[Pp]aris|go+d/", "the plot")
    once = Augmenter(tiny_lm(), tiny_vectors(), CandidateSettings(k=5, context=context))
    always = Augmenter(tiny_lm(), tiny_vectors(), CandidateSettings(k=5, context=context, protect=entries))
    found = once.augment(TEXTS, n=3, p=0.7, protect=[*entries])
    assert found == always.augment(TEXTS, n=3, p=0.7) != once.augment(TEXTS, n=3, p=0.7)
    edited = {edit.original for variants in found for variant in variants for edit in variant.edits}
    assert edited
    assert not edited & {"film", "Paris", "good"}


@pytest.mark.parametrize("protect", ["film", [""], ["/(/"], [3]])
def test_what_cannot_be_protected(augmenter, protect):
    with pytest.raises(AugmentError, match=r"^protect: "):
        augmenter.augment(TEXTS, protect=protect)


# --- tables ----------------------------------------------------------------------------------------------------

ROWS = {"id": [*"abc"], "text": TEXTS[:3], "other": TEXTS[3:6], "label": [1, 0, None]}


def test_a_table_keeps_its_columns(augmenter):
    found = augment_table(ROWS, "text", augmenter, n=2, p=0.6, seed=3)
    plain = augmenter.augment_table(ROWS["text"], n=2, p=0.6, seed=3, ids=range(3))
    assert found.column_names == ["id", "text", "other", "label", "source_idx", "variant", "edits"]
    assert found["id"].to_pylist() == [*"aaabbbccc"]
    assert found["label"].to_pylist() == [1] * 3 + [0] * 3 + [None] * 3
    for name in ("text", "source_idx", "variant", "edits"):
        assert found[name].to_pylist() == plain[name].to_pylist()


def test_a_table_of_pairs_names_its_columns_in_edits(augmenter):
    found = augment_table(ROWS, ("other", "text"), augmenter, n=4, p=0.9, protect=("film",)).to_pylist()
    assert {edit["column"] for row in found for edit in row["edits"]} == {"other", "text"}
    for row in found:
        for name in ("other", "text"):
            edits = [edit for edit in row["edits"] if edit["column"] == name]
            check_edits(ROWS[name][row["source_idx"]], row[name], edits)


def test_tables_of_every_kind(augmenter):
    rows = pa.table(ROWS)
    expected = augment_table(ROWS, "text", augmenter, n=2)
    data_set = Dataset.from_dict({**ROWS, "label": [1, 0, 1]}).cast_column("label", ClassLabel(names=["bad", "good"]))
    for data in (rows, rows.to_pandas(types_mapper=None), data_set, data_set.select([0, 1, 2])):
        found = augment_table(data, "text", augmenter, n=2)
        assert found.column_names == expected.column_names
        assert found["text"].to_pylist() == expected["text"].to_pylist()


@pytest.mark.parametrize(
    ("data", "text", "message"),
    [
        (ROWS, "body", r"^text: expected a column of the table, found body; it has id, text, other, label$"),
        (ROWS, ("text", "text"), "^text: expected one column or two different ones"),
        ({**ROWS, "edits": [1, 2, 3]}, "text", "^data: expected no column named edits"),
        ({"text": []}, "text", "^data: expected rows, found none$"),
        ({"text": ["good", None]}, "text", "text 1: expected a string, found NoneType$"),
    ],
)
def test_tables_that_cannot_be_augmented(augmenter, data, text, message):
    with pytest.raises(AugmentError, match=message):
        augment_table(data, text, augmenter)
