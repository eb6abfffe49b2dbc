"""What stands for a CJK character is a CJK character, whichever source it comes from."""

from __future__ import annotations

import pytest

from augment import Augmenter
from augment.presets import CandidateSettings
from tests.augment.helpers import tiny_finder, tiny_lm, tiny_vectors
from tests.fixtures import GLOVE_WORDS

TEXT = "中文 film, 語中good本。"  # 語 and 本 are not in the vocabulary: GloVe is asked
VECTORS = [*GLOVE_WORDS[:6], "語", "本", "國", "語中"]


@pytest.mark.parametrize(("k", "exclude"), [(1, False), (20, False), (20, True)])
def test_candidates_of_a_character(k, exclude):
    found = tiny_finder(k=k, exclude_original=exclude, vectors=tiny_vectors(VECTORS)).find([TEXT])
    by_word = {
        TEXT[start:end]: {spelling for spelling, _ in found.of_word(word)}
        for word, (start, end) in enumerate(zip(found.starts, found.ends, strict=True))
    }
    expected = {"中": {"中", "文"}, "文": {"中", "文"}, "語": {"本", "國"}, "本": {"語", "國"}}
    for word, characters in expected.items():
        allowed = characters - {word} if exclude else characters
        assert by_word[word] <= allowed
        assert len(by_word[word]) == min(k, len(allowed))
    assert len(by_word["film"]) == k  # other words take what there is


@pytest.mark.parametrize("context", ["original", "running"])
def test_every_variant_has_characters_where_the_text_has(context):
    settings = CandidateSettings(k=5, context=context)
    augmenter = Augmenter(tiny_lm(), tiny_vectors(VECTORS), settings)
    (variants,) = augmenter.augment([TEXT], n=30, p=1.0)
    edits = [edit for variant in variants for edit in variant.edits if edit.original in "中文語本"]
    assert len(edits) > 50
    assert {edit.replacement for edit in edits} == set("中文語本國")
