"""Cased vocabularies: words that differ in case count once, and a candidate keeps its own case (design section 3)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from augment.candidate_table import from_arrow, to_arrow
from augment.candidates import CandidateFinder
from augment.masked_lm import MaskedLM
from augment.presets import CandidateSettings, DrawSettings
from augment.sites import find_sites
from augment.top_k import first_of_each
from augment.variants import draw_variants
from glove import vectors_from_arrays
from tests.augment.helpers import tiny_finder
from tests.augment.test_algorithm1 import Tally, fast_variants
from tests.fixtures import SPECIAL, glove_text, tiny_masked_lm, tokenizer_of
from tests.oracles import algorithm1 as oracle

WORDS = (
    "the The THE film Film FILM is Is a A in In Berlin berlin Paris USA usa iPhone IPhone he He good Good Haus haus "
    "das Das und Und . , - ' 2 ##s ##e ##n ##r ##i x z 中 文"
)
VOCABULARY = [*SPECIAL, *WORDS.split()]
VECTORS = "Berlins berlins Madrid london London Prague prager LONDON zx 中x".split()
TEXTS = [
    "the film is in Berlin.",
    "The FILM is good. In Paris he is in the USA",
    "das Haus in Berlins, - Das Haus. und he",
    'iPhone is A good iPhone - "Film in berlins',
    "",
    "THE film 2 中 Film Berlins",
]


def cased_lm(seed=0):
    return MaskedLM(tiny_masked_lm(seed, vocab_size=len(VOCABULARY)), tokenizer_of(VOCABULARY, lowercase=False))


def vectors(words=VECTORS):
    lines = [line.split(" ") for line in glove_text(words).splitlines()]
    return vectors_from_arrays([line[0] for line in lines], np.array([line[1:] for line in lines], dtype=np.float32))


def finder(seed=0, words=VECTORS, **settings):
    return CandidateFinder(cased_lm(seed), vectors(words), CandidateSettings(**settings), batch_tokens=200)


@pytest.mark.parametrize("form", ["paper", "algorithm1"])
@pytest.mark.parametrize(
    ("words", "own_case"), [(VECTORS, ("mlm", "glove")), ([word.lower() for word in VECTORS[1:4]], ("mlm",))]
)
def test_variants_are_those_of_the_pseudo_code(form, words, own_case):
    tally = Tally()
    for seed in range(4):
        found, _ = fast_variants(
            finder(seed, words, k=5, context="original" if form == "paper" else "running"),
            TEXTS,
            np.arange(len(TEXTS))[:, None],
            DrawSettings(n=3, p=0.7, seed=seed),
            np.arange(len(TEXTS)),
        )
        bert = oracle.BertModel(tiny_masked_lm(seed, vocab_size=len(VOCABULARY)), VOCABULARY, 5, cased=True)
        glove = oracle.Glove(glove_text(words), 5)
        for row, text in enumerate(TEXTS):
            told = {"form": form, "bert": bert, "glove": glove, "seed": seed, "source_idx": row, "own_case": own_case}
            for variant, wanted in enumerate(oracle.data_augmentation(text, 0.7, 3, **told), start=1):
                (variant_text,), (edits,) = found[row, variant]
                tally.compare(variant_text, edits, wanted, (seed, row, variant))
    tally.finish(edits_at_least=150)


def test_words_that_differ_in_case_count_once():
    found = finder(k=20).find(TEXTS)
    for word in range(len(found.starts)):
        spellings = [spelling for spelling, _ in found.of_word(word)]
        assert len({spelling.lower() for spelling in spellings}) == len(spellings)
    assert len(found.of_word(0)) == len({word.lower() for word in WORDS.split() if word.isalnum()})


def test_the_best_spelling_of_each_is_kept():
    ids = torch.tensor([[4, 0, 1, 5, 2], [2, 5, 0, -1, -1]], dtype=torch.int32)
    scores = torch.tensor([[0.5, 0.4, 0.3, 0.2, 0.1], [0.5, 0.4, 0.3, 0, 0]])
    numbers = torch.tensor([0, 0, 1, 2, 3, 1])  # 0 and 1 are one word, and so are 2 and 5
    kept, of_kept = first_of_each(ids, scores, numbers, 4)
    assert kept.tolist() == [[4, 0, 5, -1], [2, 0, -1, -1]]
    np.testing.assert_array_equal(of_kept.numpy(), np.array([[0.5, 0.4, 0.2, 0], [0.5, 0.3, 0, 0]], dtype=np.float32))


def test_stored_candidates_are_drawn_in_their_own_case_too():
    found = finder(k=5).find(TEXTS)
    again = from_arrow(to_arrow(found, [bytes(16)] * len(TEXTS)))
    assert again.own_case == found.own_case == (True, True)
    drawn = [
        draw_variants(
            find_sites(candidates), np.arange(6), np.arange(6)[:, None], ["text"], DrawSettings(n=9, p=1.0)
        ).texts[0].to_pylist()
        for candidates in (found, again)
    ]  # fmt: skip
    assert drawn[0] == drawn[1]
    written = {word for text in drawn[0] for word in text.split()}
    assert {"USA", "iPhone", "Paris"} <= written


def test_an_uncased_vocabulary_says_nothing_of_case():
    found = tiny_finder(k=3).find(["the film"])
    assert found.own_case == (False, False)
    assert to_arrow(found, [bytes(16)]).schema.metadata is None
