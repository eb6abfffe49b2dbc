"""GloVe's neighbours are found once a job, and its bytes are those of workers that find their own."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from augment import similar
from augment.similar import KnownNeighbours, SimilarWords
from pipelines.augmenting import distinct_words
from pipelines.augmenting.distinct_words import DistinctWords, word_bounds
from tests.augment.helpers import TEXTS, tiny_lm, tiny_vectors
from tests.fixtures import GLOVE_WORDS
from tests.pipelines.jobs import ONE_WORKER, contents, done, manifest, tinyaug


@pytest.fixture
def small_tables(monkeypatch):
    """Jobs of any size find neighbours once, in parts of 44 distinct words."""
    monkeypatch.setattr(distinct_words, "LEAST_WORDS", 1)
    monkeypatch.setattr(distinct_words, "WORDS_OF_PART", 44)


@pytest.fixture
def searched(monkeypatch):
    """The words that neighbours are looked for, in order."""
    words: list[str] = []
    original = similar.similar_words

    def counted(vectors, some, *more):
        words.extend(some)
        return original(vectors, some, *more)

    monkeypatch.setattr(similar, "similar_words", counted)
    return words


def test_a_job_with_a_table_makes_the_same_bytes(inputs, finished, tmp_path, small_tables, searched):
    command = inputs.augment(tmp_path / "run", "--shard-rows", 10)
    done(*command)
    assert contents(tmp_path / "run") == contents(finished)
    assert not (finished / "neighbours").exists()
    # No word is looked for twice, whatever part of the table or of the candidates it is in.
    assert (
        len(searched) == len(set(searched)) == manifest(tmp_path / "run", "neighbours")["counts"]["multi_piece_words"]
    )
    assert len(searched) > 10
    words = pq.read_table(tmp_path / "run/input/words.parquet")["word"].to_pylist()
    bounds = json.loads((tmp_path / "run/input/record.json").read_text())["word_bounds"]
    assert bounds == [0, 44, len(words)] == [0, 44, 88]
    assert len(list((tmp_path / "run/neighbours/data").iterdir())) == 2
    assert "everything was done already" in done(*command).out


def test_only_a_part_that_is_gone_is_made_again(inputs, tmp_path, small_tables, searched):
    command = inputs.augment(tmp_path / "run")
    done(*command)
    before = contents(tmp_path / "run")
    once = list(searched)
    next((tmp_path / "run/neighbours/data").iterdir()).unlink()
    assert tinyaug("verify", tmp_path / "run").code == 1
    done(*command)
    assert 0 < len(searched) - len(once) < len(once)
    assert contents(tmp_path / "run") == before


def test_several_workers_and_running_context(inputs, tmp_path, small_tables):
    told = ("--preset", "algorithm1", "--limit", 20)
    done(*inputs.augment(tmp_path / "two", *told, "--engine", "local", "--workers", 2))
    assert len(list((tmp_path / "two/neighbours/records").iterdir())) == 2
    assert not (tmp_path / "two/candidates").exists()
    distinct_words.LEAST_WORDS = 10_000
    done(*inputs.augment(tmp_path / "none", *told))
    assert not (tmp_path / "none/neighbours").exists()
    assert contents(tmp_path / "two") == contents(tmp_path / "none")


def test_another_draw_needs_no_neighbours(inputs, tmp_path, small_tables):
    done(*inputs.augment(tmp_path / "run"))
    done("resample", "--candidates", tmp_path / "run", "--out", tmp_path / "again", "--seed", 3, *ONE_WORKER)
    assert not (tmp_path / "again/neighbours").exists()


def test_a_table_is_made_where_a_job_has_many_words():
    assert word_bounds(8191) == []
    assert word_bounds(8192) == [0, 8192]
    assert word_bounds(70_000) == [0, 32_768, 65_536, 70_000]


def test_the_words_of_several_pieces_are_among_those_collected(monkeypatch):
    splitter = tiny_lm().splitter
    split = splitter.split(TEXTS)
    expected = set(split.spellings(np.flatnonzero(~split.single_piece & (split.ends - split.starts > 1))))
    missed = {"cafe\u0301", "❤️"}  # with combining marks: workers look for them themselves
    for at_once in (1, 1000):
        monkeypatch.setattr(distinct_words, "CHUNKS_AT_ONCE", at_once)
        words = DistinctWords()
        for text in TEXTS:
            words.add([text])
        found = words.found()["word"].to_pylist()
        assert found == sorted(set(found))
        assert expected - set(found) == missed
        assert {"gripping", "Gripping", "gRIPPING", "don", "t"} <= set(found)


def test_no_more_words_than_fit_are_collected(monkeypatch):
    monkeypatch.setattr(distinct_words, "MOST_WORDS", 3)
    monkeypatch.setattr(distinct_words, "CHUNKS_AT_ONCE", 1)
    words = DistinctWords()
    for text in ("a b", "c", "d e"):
        words.add([text])
    assert words.found()["word"].to_pylist() == ["a", "b", "c"]


def test_what_was_found_before_is_as_it_was_found():
    words = [*GLOVE_WORDS, "PARIS", "Gripping", "zzz"]
    plain = SimilarWords(tiny_vectors(), tiny_lm().splitter, 5, False)
    table = plain.table(words)
    assert table["word"].to_pylist() == words  # zzz has none, which is not looked for again
    looked_up = SimilarWords(tiny_vectors(), tiny_lm().splitter, 5, False)
    looked_up.known = KnownNeighbours(table)
    asked = []
    looked_up._search = lambda _vectors, missing: asked.extend(missing) or {}
    assert looked_up.of(words) == plain.of(words)
    assert not asked
