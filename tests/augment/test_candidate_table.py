"""Candidates through the stored Arrow table and back."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from augment.candidate_table import SCHEMA, from_arrow, to_arrow
from augment.presets import DrawSettings
from augment.sites import find_sites
from augment.variants import draw_variants
from tests.augment.helpers import TEXTS, tiny_finder


@pytest.fixture(scope="module")
def candidates():
    return tiny_finder(0, k=5).find(TEXTS)


def text_ids(count):
    return [number.to_bytes(16, "big") for number in range(count)]


def plain(candidates, text):
    """The words of one text as plain values."""
    words = range(int(candidates.text_offsets[text]), int(candidates.text_offsets[text + 1]))
    return candidates.texts[text], [
        (
            int(candidates.starts[word]),
            int(candidates.ends[word]),
            int(candidates.sources[word]),
            candidates.of_word(word),
        )
        for word in words
    ]


def everything(candidates):
    return [plain(candidates, text) for text in range(len(candidates.texts))], candidates.errors


def test_there_and_back(candidates):
    assert everything(from_arrow(to_arrow(candidates, text_ids(len(TEXTS))))) == everything(candidates)


def test_the_table_says_what_the_candidates_say(candidates):
    table = to_arrow(candidates, text_ids(len(TEXTS)))
    assert table.schema == SCHEMA
    row = table.slice(1, 1).to_pylist()[0]
    assert row["text"] == TEXTS[1]
    assert row["text_id"] == (1).to_bytes(16, "big")
    assert row["error"] is None
    words = {TEXTS[1][word["start"] : word["end"]]: word for word in row["words"]}
    assert list(words) == ["A", "Gripping", "film", "Not", "a", "dull", "plot", "never", "slow"]
    assert words["Gripping"]["source"] == "glove"
    assert words["film"]["source"] == "mlm"
    expected = dict(zip(words, plain(candidates, 1)[1], strict=True))
    for spelling, word in words.items():
        assert list(zip(word["replacements"], word["scores"], strict=True)) == expected[spelling][3]


@pytest.mark.parametrize(("start", "length"), [(0, 3), (4, 6), (8, 1), (16, 1), (5, 0)])
def test_slices(candidates, start, length):
    table = to_arrow(candidates, text_ids(len(TEXTS))).slice(start, length)
    found = from_arrow(table)
    assert found.texts == TEXTS[start : start + length]
    assert everything(found)[0] == everything(candidates)[0][start : start + length]


def test_any_selection_in_any_order(candidates):
    rows = [9, 2, 2, 15, 8]
    found = from_arrow(to_arrow(candidates, text_ids(len(TEXTS))).take(rows))
    assert everything(found)[0] == [everything(candidates)[0][row] for row in rows]


def test_several_chunks(candidates):
    table = to_arrow(candidates, text_ids(len(TEXTS)))
    chunked = pa.concat_tables([table.slice(7), table.slice(0, 0), table.slice(2, 3)])
    rows = [*range(7, len(TEXTS)), 2, 3, 4]
    assert everything(from_arrow(chunked))[0] == [everything(candidates)[0][row] for row in rows]


def test_through_parquet(candidates):
    table = to_arrow(candidates, text_ids(len(TEXTS)))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=4)
    assert everything(from_arrow(pq.read_table(buffer))) == everything(candidates)


@pytest.mark.parametrize("texts", [[], [""], ["", "!?", ""]])
def test_nothing(texts):
    candidates = tiny_finder(0).find(texts)
    found = from_arrow(to_arrow(candidates, text_ids(len(texts))))
    assert found.texts == texts
    assert found.text_offsets.tolist() == [0] * (len(texts) + 1)
    assert len(found.starts) == len(found.codes) == len(found.sources) == 0
    assert found.offsets.tolist() == [0]


def test_words_without_candidates_stay_in_the_table():
    found = from_arrow(to_arrow(tiny_finder(0).find(["zzz film qqq"]), text_ids(1)))
    assert np.diff(found.offsets).tolist() == [0, 20, 0]
    assert found.sources.tolist() == [1, 0, 1]


def test_errors_are_kept():
    candidates = tiny_finder(0, k=2, max_words=3).find(["good film", "one two three 1 2", "bad plot"])
    assert candidates.errors == {1: "expected at most 3 words (--max-words), found 5"}
    assert candidates.text_offsets.tolist() == [0, 2, 2, 4]
    table = to_arrow(candidates, text_ids(3))
    assert from_arrow(table).errors == candidates.errors
    assert from_arrow(table.slice(1)).errors == {0: candidates.errors[1]}
    assert candidates.counts["failed_texts"] == 1


def test_unicode_spans_and_spellings():
    words = ["café", "żółw", "наука", "中国"]
    candidates = tiny_finder(0, k=1).find(["🙂 film 🙂🙂 dog"])
    candidates = replace(candidates, spellings=["żółw"] * len(candidates.spellings))
    found = from_arrow(to_arrow(candidates, text_ids(1)))
    assert found.spellings == ["żółw"]
    assert [found.texts[0][s:e] for s, e in zip(found.starts, found.ends, strict=True)] == ["film", "dog"]
    assert words[1] in found.spellings


def test_drawing_from_the_stored_table_gives_the_same_variants(candidates):
    stored = from_arrow(to_arrow(candidates, text_ids(len(TEXTS))))
    rows = np.arange(len(TEXTS))
    batches = [
        draw_variants(find_sites(table), rows, rows[:, None], ["text"], DrawSettings(n=5, seed=8))
        for table in (candidates, stored)
    ]
    assert batches[0].texts[0].equals(batches[1].texts[0])
    assert batches[0].edits.equals(batches[1].edits)
    assert batches[0].counts == batches[1].counts
