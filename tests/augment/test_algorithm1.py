"""The fast paths against Algorithm 1 line by line: same random numbers, same variants."""

from __future__ import annotations

import numpy as np
import pytest

from augment.draw import draw_from_table
from augment.presets import DrawSettings
from augment.running import RunningDrawer
from augment.sites import find_sites
from augment.variants import draw_variants
from augment.words import eligibility
from tests.augment.helpers import LONG, TEXTS, one_digit_apart, oracles, tiny_finder
from tests.oracles.algorithm1 import data_augmentation
from tests.oracles.plain_words import protected_spans, written_together

PAIRS = [
    ("the film is very good", "Boring movies never feel warm"),
    ("A Gripping film!", ""),
    ("PARIS", "the film is very good"),
    (LONG, "a small green bird."),
    ("a small green bird.", LONG),
    (LONG, "not " + LONG),
]


def fast_variants(finder, texts, rows, settings, source_idx, partners=None):
    """(row, variant) -> texts of the columns, edits by column, as the fast path draws them."""
    running = finder.settings.context == "running"
    candidates = finder.find(texts, partners)
    assert candidates.errors == {}
    sites = find_sites(candidates, running)
    drawer = RunningDrawer(finder, candidates, partners) if running else draw_from_table
    names = [f"column{column}" for column in range(rows.shape[1])]
    batch = draw_variants(sites, source_idx, rows, names, settings, drawer=drawer)
    columns = [column.to_pylist() for column in batch.texts]
    found = {}
    for job, (row, variant) in enumerate(zip(batch.rows.tolist(), batch.variants.tolist(), strict=True)):
        edits = [[] for _ in names]
        for edit in batch.edits[job].as_py():
            edits[names.index(edit.pop("column"))].append(edit)
        found[row, variant] = [column[job] for column in columns], edits
    return found, batch.counts


def disagreement(text, edits, expected):
    """Where a fast variant differs from the oracle's; empty when nowhere."""
    if text != expected.text:
        return f"text {text!r}, expected {expected.text!r}"
    if len(edits) != len(expected.edits):
        return f"{len(edits)} edits, expected {len(expected.edits)}"
    for edit, wanted in zip(edits, expected.edits, strict=True):
        for name in ("start", "end", "original", "replacement", "source", "rank"):
            if edit[name] != getattr(wanted, name):
                return f"{name} {edit[name]!r}, expected {wanted}"
        if not one_digit_apart(edit["score"], wanted.score):
            return f"score {edit['score']}, expected {wanted}"
    return ""


class Tally:
    """Compares, and keeps count of variants whose order of near ties single precision cannot decide."""

    def __init__(self):
        self.compared = self.excused = self.edits = 0

    def compare(self, text, edits, expected, where):
        self.compared += 1
        self.edits += len(expected.edits)
        difference = disagreement(text, edits, expected)
        if difference and not expected.sure:
            self.excused += 1
            return
        assert difference == "", f"{where}: {difference}"

    def finish(self, edits_at_least):
        assert self.edits >= edits_at_least
        assert self.excused <= 0.05 * self.compared


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("form", ["paper", "algorithm1"])
def test_single_texts(form, seed):
    k, n, p = 6, 3, 0.4
    finder = tiny_finder(seed, k=k, context="original" if form == "paper" else "running")
    bert, glove = oracles(seed, k)
    source_idx = np.arange(len(TEXTS)) * 7 + 2
    settings = DrawSettings(n=n, p=p, seed=seed + 40)
    rows = np.arange(len(TEXTS))[:, None]
    found, counts = fast_variants(finder, TEXTS, rows, settings, source_idx)
    tally, draws, drawable = Tally(), 0, 0
    for row, text in enumerate(TEXTS):
        assert found[row, 0] == ([text], [[]])
        expected = data_augmentation(
            text, p, n, form=form, bert=bert, glove=glove, seed=settings.seed, source_idx=int(source_idx[row])
        )
        for variant, wanted in enumerate(expected, start=1):
            (variant_text,), (edits,) = found[row, variant]
            tally.compare(variant_text, edits, wanted, (row, variant))
            draws, drawable = draws + wanted.draws, drawable + wanted.drawable
    tally.finish(edits_at_least=150)
    assert (counts["draws"], counts["drawable_words"]) == (draws, drawable)
    assert counts["edits_glove"] > 0
    assert counts["edits_mlm"] > 0
    if tally.excused == 0:
        assert counts["edits"] == tally.edits


@pytest.mark.parametrize("form", ["paper", "algorithm1"])
@pytest.mark.parametrize(("pairs", "segment"), [("joint", "partner"), ("each", "none"), ("second", "partner")])
def test_pairs(form, pairs, segment):
    k, n, p = 5, 2, 0.4
    finder = tiny_finder(1, k=k, context="original" if form == "paper" else "running", segment=segment)
    bert, glove = oracles(1, k)
    settings = DrawSettings(n=n, p=p, seed=9, pairs=pairs)
    texts = [text for pair in PAIRS for text in pair]
    partners = [text for first, second in PAIRS for text in (second, first)] if segment == "partner" else None
    rows = np.arange(len(texts)).reshape(-1, 2)
    source_idx = np.arange(len(PAIRS)) + 100
    found, _ = fast_variants(finder, texts, rows, settings, source_idx, partners)
    tally = Tally()
    for row, pair in enumerate(PAIRS):
        for column, text in enumerate(pair):
            options = {"form": form, "bert": bert, "glove": glove, "seed": 9, "source_idx": row + 100}
            second = pair[1 - column] if segment == "partner" else None
            numbers = {"joint": [0, 0], "each": [0, n], "second": [None, 0]}[pairs]
            varied = {}
            if numbers[column] is not None:
                first = numbers[column] + 1
                drawn = data_augmentation(text, p, n, column=column, second=second, first_variant=first, **options)
                varied = dict(enumerate(drawn, start=first))
            for variant in range(1, (2 * n if pairs == "each" else n) + 1):
                texts_of_variant, edits = found[row, variant]
                if variant in varied:
                    tally.compare(texts_of_variant[column], edits[column], varied[variant], (row, column, variant))
                else:
                    assert (texts_of_variant[column], edits[column]) == (text, [])
    tally.finish(edits_at_least=50)


@pytest.mark.parametrize("form", ["paper", "algorithm1"])
@pytest.mark.parametrize(
    "options",
    [
        {"exclude_original": True},
        {"punctuation": True},
        {"skip_stopwords": True, "protect": ("FILM", "/\\bb/", "don't", "/Gripping f/")},
        {"keep_whole": True, "exclude_original": True},
    ],
)
def test_settings(form, options):
    k, n, p = 4, 2, 0.7
    finder = tiny_finder(2, k=k, context="original" if form == "paper" else "running", **options)
    shared = {name: value for name, value in options.items() if name in ("exclude_original", "punctuation")}
    bert, glove = oracles(2, k, **shared)
    rule = eligibility(finder.settings)  # its own rules are tested in test_eligibility

    texts = [*TEXTS[:9], "U.S. (don't) 12:30, [COL] a film—a good-bad 10 film..."]
    settings = DrawSettings(n=n, p=p, seed=1)
    found, _ = fast_variants(finder, texts, np.arange(len(texts))[:, None], settings, np.arange(len(texts)))
    tally = Tally()
    for row, text in enumerate(texts):
        stay = protected_spans(text, finder.settings.protect)
        stay += written_together(text) if "keep_whole" in options else []
        expected = data_augmentation(
            text, p, n, form=form, bert=bert, glove=glove, seed=1, source_idx=row, eligible=rule, stay=stay
        )
        for variant, wanted in enumerate(expected, start=1):
            (variant_text,), (edits,) = found[row, variant]
            tally.compare(variant_text, edits, wanted, (row, variant))
    tally.finish(edits_at_least=15)


def test_the_two_forms_differ():
    # Otherwise equality with both oracles would say nothing about the context.
    texts, settings = [TEXTS[0], TEXTS[11]], DrawSettings(n=10, p=0.8, seed=0)
    rows, numbers = np.arange(2)[:, None], np.arange(2)
    original, _ = fast_variants(tiny_finder(0), texts, rows, settings, numbers)
    running, _ = fast_variants(tiny_finder(0, context="running"), texts, rows, settings, numbers)
    differ = sum(original[key] != running[key] for key in original)
    assert differ > 5
