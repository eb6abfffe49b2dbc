"""Presets (design section 3) and settings that are refused."""

from __future__ import annotations

import pytest

from augment.errors import AugmentError
from augment.presets import PRESETS, CandidateSettings, DrawSettings, preset


def test_paper():
    candidates, draw = preset("paper")
    assert (candidates.k, candidates.context, candidates.segment) == (20, "original", "none")
    assert (candidates.mask_spacing, candidates.exclude_original, candidates.skip_stopwords) == (0, False, False)
    assert (candidates.punctuation, candidates.protect, candidates.max_words) == (False, (), 5000)
    assert (draw.n, draw.p, draw.pairs, draw.duplicates) == (20, 0.4, "joint", "keep")
    assert (CandidateSettings(), DrawSettings()) == (candidates, draw)


def test_fast_is_paper_with_spacing():
    assert preset("fast") == (CandidateSettings(mask_spacing=8), preset("paper")[1])


def test_algorithm1_is_paper_with_running_context():
    assert preset("algorithm1") == (CandidateSettings(context="running"), preset("paper")[1])


def test_texts_is_for_peoples_own_texts():
    candidates, draw = preset("texts", "cola")
    assert candidates == CandidateSettings(exclude_original=True, keep_whole=True)
    assert draw == DrawSettings(duplicates="redraw")


def test_the_presets_of_the_paper_keep_nothing_whole():
    assert not any(preset(name)[0].keep_whole for name in PRESETS if name != "texts")


@pytest.mark.parametrize("n", [10, 20, 30])
def test_official(n):
    candidates, draw = preset("official", n)
    assert (candidates.k, candidates.segment, candidates.skip_stopwords) == (15, "self", True)
    assert (candidates.context, candidates.mask_spacing) == ("original", 0)
    assert (draw.n, draw.p, draw.pairs, draw.duplicates) == (n, 0.4, "each", "drop")


def test_the_task_changes_only_official():
    assert preset("paper", 30)[1].n == 20


def test_single_fields_are_replaced():
    candidates, draw = preset("official", 30, n=7, k=3, pairs="first", skip_stopwords=False, p=None)
    assert (candidates.k, candidates.skip_stopwords, candidates.segment) == (3, False, "self")
    assert (draw.n, draw.pairs, draw.p, draw.duplicates) == (7, "first", 0.4, "drop")


def test_zero_and_false_replace_too():
    assert preset("fast", mask_spacing=0)[0].mask_spacing == 0
    assert preset("paper", n=0)[1].n == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("k", 0),
        ("k", 1001),
        ("k", 2.5),
        ("context", "sideways"),
        ("segment", "both"),
        ("mask_spacing", -1),
        ("max_words", 0),
        ("protect", ("/[/",)),
        ("protect", "not"),
        ("n", -1),
        ("n", 10_001),
        ("n", 1.5),
        ("n", True),
        ("p", -0.1),
        ("p", 1.1),
        ("p", float("nan")),
        ("p", "0.4"),
        ("seed", -1),
        ("seed", 2**64),
        ("seed", 1.5),
        ("pairs", "both"),
        ("duplicates", "maybe"),
    ],
)
def test_values_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(AugmentError, match=rf"^{field}: "):
        preset("paper", **{field: value})


@pytest.mark.parametrize(
    ("field", "value"), [("k", 1), ("k", 1000), ("n", 10_000), ("p", 0), ("p", 1), ("seed", 2**64 - 1)]
)
def test_the_ends_of_the_ranges_are_allowed(field, value):
    settings = preset("paper", **{field: value})
    assert value in (getattr(settings[0], field, None), getattr(settings[1], field, None))


def test_running_context_with_spacing_is_refused():
    with pytest.raises(AugmentError, match="mask_spacing"):
        preset("fast", context="running")


def test_unknown_names_are_refused():
    with pytest.raises(AugmentError, match=r"preset: .*paper.*'papre'"):
        preset("papre")
    with pytest.raises(AugmentError, match="no setting is named colour"):
        preset("paper", colour=3)
