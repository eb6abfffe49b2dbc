"""Drawing: rates, uniform choice, and variants that can be recomputed alone."""

from __future__ import annotations

import numpy as np
import pytest

from augment.candidate_table import Candidates
from augment.draw import choose_sites, plan_jobs
from augment.presets import DrawSettings
from augment.sites import find_sites
from augment.variants import draw_variants
from tests.augment.helpers import TEXTS, tiny_finder


def table(texts, words):
    """Candidates by hand; words: for each text (start, end, source, [(spelling, score), …])."""
    flat = [word for text in words for word in text]
    spellings = sorted({spelling for *_, found in flat for spelling, _ in found})
    found = [candidate for *_, candidates in flat for candidate in candidates]
    return Candidates(
        texts,
        np.cumsum([0, *map(len, words)]),
        np.array([word[0] for word in flat], dtype=np.int32),
        np.array([word[1] for word in flat], dtype=np.int32),
        np.array([word[2] for word in flat], dtype=np.int8),
        np.cumsum([0, *(len(word[3]) for word in flat)]),
        np.array([spellings.index(spelling) for spelling, _ in found], dtype=np.int32),
        np.array([score for _, score in found], dtype=np.float32),
        spellings,
    )


def one_word_texts(count, choices):
    candidates = [(f"w{number}", 0.5) for number in range(choices)]
    return table(["zzz qq"] * count, [[(0, 3, 0, candidates), (4, 6, 1, [])]] * count)


def drawn(candidates, settings, source_idx=None, rows=None):
    rows = np.arange(len(candidates.texts)) if rows is None else rows
    source_idx = rows if source_idx is None else source_idx
    return draw_variants(find_sites(candidates), source_idx, rows[:, None], ["text"], settings)


@pytest.mark.parametrize(("p", "seed"), [(0.4, 0), (0.4, 1), (0.05, 2), (0.9, 3)])
def test_draws_per_word_with_candidates_match_p(p, seed):
    batch = drawn(one_word_texts(1000, 7), DrawSettings(n=40, p=p, seed=seed))
    total = batch.counts["drawable_words"]
    assert total == 40_000  # the word without candidates is not among them
    sigma = np.sqrt(p * (1 - p) / total)
    assert abs(batch.counts["draws"] / total - p) < 5 * sigma


def test_every_candidate_is_equally_likely():
    choices, seed = 7, 5
    batch = drawn(one_word_texts(1000, choices), DrawSettings(n=40, p=0.5, seed=seed))
    ranks = np.array([edit["rank"] for edits in batch.edits.to_pylist() for edit in edits])
    expected = len(ranks) / choices
    counts = np.bincount(ranks, minlength=choices)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_whether_and_what_are_independent():
    # Were the choice made by the number that decided on drawing, small p would only reach the first ranks.
    batch = drawn(one_word_texts(2000, 10), DrawSettings(n=20, p=0.05, seed=1))
    ranks = np.array([edit["rank"] for edits in batch.edits.to_pylist() for edit in edits])
    counts = np.bincount(ranks, minlength=10)
    assert counts.min() > 0.7 * len(ranks) / 10


@pytest.mark.parametrize(("p", "draws"), [(0.0, 0), (1.0, 60)])
def test_p_of_zero_and_one(p, draws):
    assert drawn(one_word_texts(20, 3), DrawSettings(n=3, p=p)).counts["draws"] == draws


def rows_of(batch):
    return list(zip(batch.texts[0].to_pylist(), batch.edits.to_pylist(), strict=True))


@pytest.fixture(scope="module")
def candidates():
    return tiny_finder(0, k=9).find(TEXTS)


def test_a_variant_does_not_depend_on_how_many_there_are(candidates):
    many = rows_of(drawn(candidates, DrawSettings(n=20, seed=3)))
    one = rows_of(drawn(candidates, DrawSettings(n=1, seed=3)))
    for text in range(len(TEXTS)):
        assert one[2 * text : 2 * text + 2] == many[21 * text : 21 * text + 2]


def test_a_variant_does_not_depend_on_its_neighbours(candidates):
    settings = DrawSettings(n=4, seed=3)
    every = rows_of(drawn(candidates, settings))
    some = np.array([3, 0, 11])
    alone = rows_of(drawn(candidates, settings, rows=some))
    assert alone == [every[5 * row + variant] for row in some for variant in range(5)]


def test_seed_number_column_and_variant_all_matter(candidates):
    def texts(seed=1, source_idx=5, column=0, variant=1):
        rows = np.array([[15, 15]])
        batch = draw_variants(
            find_sites(candidates), np.array([source_idx]), rows, ["a", "b"], DrawSettings(n=2, seed=seed)
        )
        return batch.texts[column][variant].as_py()

    different = {texts(), texts(seed=2), texts(source_idx=6), texts(column=1), texts(variant=2)}
    assert len(different) == 5


def test_equal_texts_at_different_places_vary_differently(candidates):
    batch = drawn(candidates, DrawSettings(n=1, p=1.0), source_idx=np.array([1, 2]), rows=np.array([0, 12]))
    texts = batch.texts[0].to_pylist()
    assert texts[0] == texts[2]
    assert texts[1] != texts[3]


def test_the_order_of_jobs():
    jobs = plan_jobs(np.array([4, 9]), np.array([[0, 1], [2, 3]]), DrawSettings(n=2, pairs="each"))
    assert jobs.rows.tolist() == [0] * 5 + [1] * 5
    assert jobs.source_idx.tolist() == [4] * 5 + [9] * 5
    assert jobs.variants.tolist() == [0, 1, 2, 3, 4] * 2
    assert jobs.columns.tolist() == [-1, 0, 0, 1, 1] * 2
    assert jobs.texts[5].tolist() == [2, 3]


def test_the_original_is_never_drawn(candidates):
    jobs = plan_jobs(np.arange(3), np.arange(3)[:, None], DrawSettings(n=0))
    chosen = choose_sites(find_sites(candidates), jobs, DrawSettings(n=0, p=1.0))
    assert len(chosen.sites) == 0
    assert chosen.drawable.tolist() == [0, 0, 0]


def test_golden_variants():
    # Fixed candidates, fixed seed: a change of these lines changes every user's data.
    words = [(0, 1, 0, [("the", 0.5), ("a", 0.25)]), (2, 10, 1, [("dull", 0.7), ("Bright", 0.5), ("x", 0.1)])]
    batch = drawn(table(["A gripping film"], [words]), DrawSettings(n=6, p=0.5, seed=42))
    assert batch.texts[0].to_pylist() == [
        "A gripping film",
        "A dull film",
        "A dull film",
        "A dull film",
        "A bright film",
        "A dull film",
        "A gripping film",
    ]
