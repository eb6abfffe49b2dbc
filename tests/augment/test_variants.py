"""Duplicates, pairs, leaks, identity draws, and counts that agree with the rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from augment.presets import DrawSettings
from augment.running import RunningDrawer
from augment.sites import find_sites
from augment.variants import draw_variants
from tests.augment.helpers import TEXTS, tiny_finder
from tests.augment.test_draw import drawn, table

FEW = [(0, 3, 0, [("bad", 0.5), ("sad", 0.25)])]  # "one": two replacements, so at most two new variants
PAIR = ["the film is good", "a gripping plot"]


def by_row(batch):
    rows = {}
    for row, variant, *columns in zip(
        batch.rows.tolist(), batch.variants.tolist(), *(column.to_pylist() for column in batch.texts), strict=True
    ):
        rows.setdefault(row, []).append((variant, *columns))
    return rows


def check_counts(batch, sites):
    """Counts of edits by source and rows are those of the rows."""
    edits = [edit for edits in batch.edits.to_pylist() for edit in edits]
    assert batch.counts["edits"] == len(edits)
    assert batch.counts["edits_mlm"] == sum(edit["source"] == "mlm" for edit in edits)
    assert batch.counts["edits_glove"] == sum(edit["source"] == "glove" for edit in edits)
    assert batch.counts["draws"] == batch.counts["edits"] + batch.counts["identity_draws"]
    assert batch.counts["rows"] == len(batch.rows) == len(batch.edits) == len(batch.texts[0])
    numbers = by_row(batch)
    assert batch.counts["source_rows"] == len(numbers)
    for rows in numbers.values():
        assert [row[0] for row in rows] == list(range(len(rows)))


def test_keep_keeps_every_variant():
    batch = drawn(table(["one x"], [FEW]), DrawSettings(n=30, p=0.5))
    assert len(batch.rows) == 31
    texts = batch.texts[0].to_pylist()
    assert set(texts) == {"one x", "bad x", "sad x"}
    assert batch.counts["duplicate_variants"] == 31 - 3
    assert batch.counts["dropped_duplicates"] == 0


def test_drop_leaves_each_text_once_and_numbers_without_gaps():
    kept = drawn(table(["one x"], [FEW]), DrawSettings(n=30, p=0.5))
    batch = drawn(table(["one x"], [FEW]), DrawSettings(n=30, p=0.5, duplicates="drop"))
    assert batch.texts[0].to_pylist() == list(dict.fromkeys(kept.texts[0].to_pylist()))
    assert batch.variants.tolist() == [0, 1, 2]
    assert batch.counts["dropped_duplicates"] == 28
    assert batch.counts["draws"] == 2
    assert batch.counts["drawable_words"] == 2


def test_redraw_finds_what_drop_misses():
    settings = {"n": 6, "p": 0.6, "seed": 3}
    words = [(0, 3, 0, [(letter, 0.5) for letter in "abcdefghij"])]
    dropped = drawn(table(["one x"], [words]), DrawSettings(**settings, duplicates="drop"))
    redrawn = drawn(table(["one x"], [words]), DrawSettings(**settings, duplicates="redraw"))
    assert len(dropped.rows) < len(redrawn.rows) == 7
    assert len(set(redrawn.texts[0].to_pylist())) == 7
    assert redrawn.counts["dropped_duplicates"] == 0
    assert set(dropped.texts[0].to_pylist()) <= set(redrawn.texts[0].to_pylist())


def test_redraw_gives_up_where_there_is_nothing_more():
    batch = drawn(table(["one x"], [FEW]), DrawSettings(n=10, duplicates="redraw"))
    assert sorted(batch.texts[0].to_pylist()) == ["bad x", "one x", "sad x"]
    assert batch.counts["dropped_duplicates"] == 8


def test_redrawn_variants_do_not_depend_on_their_neighbours():
    candidates = tiny_finder(0, k=2).find(TEXTS)
    settings = DrawSettings(n=5, p=0.1, seed=4, duplicates="redraw")
    every = by_row(drawn(candidates, settings))
    for row in (0, 3, 10):
        alone = by_row(drawn(candidates, settings, rows=np.array([row])))
        assert alone == {0: every[row]}


@pytest.mark.parametrize("context", ["original", "running"])
@pytest.mark.parametrize("duplicates", ["keep", "redraw", "drop"])
@pytest.mark.parametrize("pairs", ["joint", "first", "second", "each"])
def test_counts_agree_with_rows(context, duplicates, pairs):
    running = context == "running"
    finder = tiny_finder(0, k=2, context=context)
    texts = TEXTS[:8]
    candidates = finder.find(texts)
    sites = find_sites(candidates, running)
    rows = np.arange(8).reshape(-1, 2)
    settings = DrawSettings(n=5, p=0.3, pairs=pairs, duplicates=duplicates)
    drawer = {"drawer": RunningDrawer(finder, candidates)} if running else {}
    batch = draw_variants(sites, np.arange(4), rows, ["a", "b"], settings, **drawer)
    check_counts(batch, sites)
    if duplicates == "keep":
        assert len(batch.rows) == 4 * (11 if pairs == "each" else 6)
    else:
        for found in by_row(batch).values():
            assert len({row[1:] for row in found}) == len(found)
    for edits, *columns, row in zip(
        batch.edits.to_pylist(), *(column.to_pylist() for column in batch.texts), batch.rows, strict=True
    ):
        for column, name in enumerate("ab"):
            rebuilt = rebuild(texts[rows[row, column]], [edit for edit in edits if edit["column"] == name])
            assert rebuilt == columns[column]


def rebuild(text, edits):
    for edit in reversed(edits):
        text = text[: edit["start"]] + edit["replacement"] + text[edit["end"] :]
    return text


@pytest.mark.parametrize(
    ("pairs", "varied"),
    [
        ("joint", [{0, 1}] * 3),
        ("first", [{0}] * 3),
        ("second", [{1}] * 3),
        ("each", [{0}] * 3 + [{1}] * 3),
    ],
)
def test_pairs(pairs, varied):
    candidates = tiny_finder(0, k=9, exclude_original=True).find(PAIR)
    settings = DrawSettings(n=3, p=1.0, pairs=pairs)
    batch = draw_variants(find_sites(candidates), np.array([5]), np.array([[0, 1]]), ["a", "b"], settings)
    rows = by_row(batch)[0]
    assert rows[0] == (0, *PAIR)
    assert [row[0] for row in rows] == list(range(len(varied) + 1))
    changed = [{column for column in (0, 1) if row[1 + column] != PAIR[column]} for row in rows[1:]]
    assert changed == varied
    for edits, columns in zip(batch.edits.to_pylist()[1:], varied, strict=True):
        assert {edit["column"] for edit in edits} == {"ab"[column] for column in columns}


def test_dropped_duplicates_of_pairs_leave_no_gaps():
    candidates = table(["one x", "two y"], [FEW, [(0, 3, 0, [("old", 0.1)])]])
    settings = DrawSettings(n=8, p=0.5, pairs="each", duplicates="drop")
    batch = draw_variants(find_sites(candidates), np.array([0]), np.array([[0, 1]]), ["a", "b"], settings)
    rows = by_row(batch)[0]
    assert [row[0] for row in rows] == [0, 1, 2, 3]
    assert rows[3][1:] == ("one x", "old y")


def test_a_pair_is_a_duplicate_only_as_a_whole():
    candidates = table(["one x", "two y"], [FEW, [(0, 3, 0, [("old", 0.1)])]])
    settings = DrawSettings(n=60, p=0.5, duplicates="drop")
    batch = draw_variants(find_sites(candidates), np.array([0]), np.array([[0, 1]]), ["a", "b"], settings)
    assert len(batch.rows) == 3 * 2


def test_the_same_text_in_two_examples_is_no_duplicate():
    candidates = table(["one x"], [FEW])
    rows = np.array([0, 0])
    batch = drawn(candidates, DrawSettings(n=0, duplicates="drop"), source_idx=np.array([1, 2]), rows=rows)
    assert batch.rows.tolist() == [0, 1]


def test_identity_draws_are_no_edits():
    # Of the two candidates one is the word itself once it has taken its case.
    words = [(0, 4, 0, [("film", 0.5), ("movie", 0.25)])]
    batch = drawn(table(["FILM x"], [words]), DrawSettings(n=200, p=1.0))
    check_counts(batch, None)
    assert batch.counts["draws"] == 200
    assert 60 < batch.counts["identity_draws"] < 140
    for text, edits in zip(batch.texts[0].to_pylist(), batch.edits.to_pylist(), strict=True):
        assert (text == "FILM x") == (edits == [])
    assert {edit["replacement"] for edits in batch.edits.to_pylist() for edit in edits} == {"MOVIE"}
    assert {edit["rank"] for edits in batch.edits.to_pylist() for edit in edits} == {1}


def leaky(text):
    def leaks(columns):
        return np.array([value == text for value in columns[0].to_pylist()])

    return leaks


@pytest.mark.parametrize("drop", [False, True])
def test_leaks(drop):
    candidates = table(["one x"], [FEW])
    arguments = (find_sites(candidates), np.array([0]), np.array([[0]]), ["text"], DrawSettings(n=40, p=0.5))
    free = draw_variants(*arguments)
    batch = draw_variants(*arguments, leaks=leaky("bad x"), drop_leaks=drop)
    leaked = free.texts[0].to_pylist().count("bad x")
    assert leaked > 0
    assert batch.counts["leaked_variants"] == leaked
    assert batch.texts[0].to_pylist().count("bad x") == (0 if drop else leaked)
    assert batch.variants.tolist() == list(range(len(batch.rows)))


def test_an_original_that_leaks_stays():
    candidates = table(["one x"], [FEW])
    arguments = (find_sites(candidates), np.array([0]), np.array([[0]]), ["text"], DrawSettings(n=5, p=0.0))
    batch = draw_variants(*arguments, leaks=leaky("one x"), drop_leaks=True)
    assert batch.texts[0].to_pylist() == ["one x"]
    assert batch.counts["leaked_variants"] == 5


@pytest.mark.parametrize("duplicates", ["keep", "redraw", "drop"])
def test_no_examples(duplicates):
    candidates = tiny_finder(0).find([])
    batch = draw_variants(
        find_sites(candidates),
        np.zeros(0, dtype=np.int64),
        np.zeros((0, 2), dtype=np.int64),
        ["a", "b"],
        DrawSettings(duplicates=duplicates),
    )
    assert len(batch.rows) == len(batch.edits) == 0
    assert [column.type for column in batch.texts] == [pa.string(), pa.string()]
    assert batch.counts["rows"] == 0


def test_a_text_without_sites_gives_copies_of_itself():
    batch = drawn(tiny_finder(0).find(["", "!!"]), DrawSettings(n=2))
    assert batch.texts[0].to_pylist() == [""] * 3 + ["!!"] * 3
    assert batch.counts["drawable_words"] == 0
