"""Masked LMs with byte-level BPE and SentencePiece: words, candidates and variants, against the plain oracles."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings

from augment.candidates import CandidateFinder
from augment.masked_lm import MaskedLM
from augment.presets import CandidateSettings, DrawSettings
from augment.running import RunningDrawer
from augment.sites import find_sites
from augment.variants import draw_variants
from tests.augment.helpers import LONG, TEXTS, tiny_vectors
from tests.augment.test_algorithm1 import PAIRS, Tally, fast_variants
from tests.augment.test_words import TEXT, check_edits
from tests.fixtures import glove_text
from tests.oracles.algorithm1 import Glove, data_augmentation
from tests.oracles.plain_subwords import SubwordModel
from tests.subwords import KINDS, subword_model, subword_tokenizer

TOKENIZERS = {kind: subword_tokenizer(kind) for kind in ("byte-level", "pieces")}
LMS = {family: MaskedLM(subword_model(family, TOKENIZERS[kind]), TOKENIZERS[kind]) for family, kind in KINDS.items()}
MORE = [*TEXTS, 'The film (not slow) is "good", isn\'t it?! a-b 10th films--a', "a good <mask> film </s> <s>"]
OWN_CASE = ("mlm", "glove")  # both are cased


def oracle_of(family, k=5):
    kind = KINDS[family]
    window = LMS[family].window
    json = TOKENIZERS[kind].backend_tokenizer.to_str()
    return SubwordModel(subword_model(family, TOKENIZERS[kind]), [], k, window, cased=True, tokenizer_json=json)


PLAIN = {family: oracle_of(family) for family in ("roberta", "xlm-roberta")}


def known(kind):
    """Texts that SentencePiece's normalizer leaves as they are, for the oracle has none."""
    return [text for text in MORE if kind == "byte-level" or unicodedata.normalize("NFKC", text) == text]


@pytest.mark.parametrize(("family", "kind"), [("roberta", "byte-level"), ("xlm-roberta", "pieces")])
def test_words_are_those_of_the_plain_tokenizer(family, kind):
    splitter, oracle = LMS[family].splitter, oracle_of(family)
    for text in known(kind):
        words, expected = splitter.split([text]), [word for word in oracle.split(text) if word.spelling]
        ids = words.rows.row(0)
        spans = zip(words.starts, words.ends, words.tokens, words.pieces, strict=True)
        found = [
            (start, end, tuple(oracle.tokens[piece] for piece in ids[token : token + pieces]))
            for start, end, token, pieces in spans
        ]
        assert found == [(word.start, word.end, word.pieces) for word in expected]
        assert words.single_piece.tolist() == [word.single_piece for word in expected]
        assert ids == [oracle.numbers[piece] for word in oracle.split(text) for piece in word.pieces]


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("form", ["paper", "algorithm1"])
def test_variants(family, form):
    texts = known(KINDS[family])
    context = "original" if form == "paper" else "running"
    finder = CandidateFinder(LMS[family], tiny_vectors(), CandidateSettings(k=5, context=context), 300)
    rows = np.arange(len(texts))
    found, counts = fast_variants(finder, texts, rows[:, None], DrawSettings(n=2, p=0.5, seed=7), rows)
    bert, glove, tally = oracle_of(family), Glove(glove_text(), 5), Tally()
    for row, text in enumerate(texts):
        options = {"form": form, "bert": bert, "glove": glove, "seed": 7, "source_idx": row, "own_case": OWN_CASE}
        for variant, wanted in enumerate(data_augmentation(text, 0.5, 2, **options), start=1):
            (variant_text,), (edits,) = found[row, variant]
            tally.compare(variant_text, edits, wanted, (row, variant))
    tally.finish(edits_at_least=100)
    assert counts["edits_mlm"] > 80
    assert counts["edits_glove"] > 0


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
def test_pairs_are_seen_with_the_marks_between_them_that_the_model_knows(family):
    finder = CandidateFinder(LMS[family], tiny_vectors(), CandidateSettings(k=5, segment="partner"), 300)
    texts = [text for pair in PAIRS for text in pair]
    partners = [text for first, second in PAIRS for text in (second, first)]
    numbers = np.arange(len(PAIRS))
    rows = np.arange(len(texts)).reshape(-1, 2)
    found, _ = fast_variants(finder, texts, rows, DrawSettings(n=2, p=0.5, seed=3), numbers, partners)
    bert, glove, tally = oracle_of(family), Glove(glove_text(), 5), Tally()
    for row, pair in enumerate(PAIRS):
        for column, text in enumerate(pair):
            options = {"form": "paper", "bert": bert, "glove": glove, "seed": 3, "source_idx": row, "column": column}
            drawn = data_augmentation(text, 0.5, 2, second=pair[1 - column], own_case=OWN_CASE, **options)
            for variant, wanted in enumerate(drawn, start=1):
                variant_texts, edits = found[row, variant]
                tally.compare(variant_texts[column], edits[column], wanted, (row, column, variant))
    tally.finish(edits_at_least=40)


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
def test_candidates_are_whole_words_that_stand_after_a_space(family):
    vocabulary, oracle = LMS[family].vocabulary, oracle_of(family)
    words = {vocabulary.tokens[number] for number in np.flatnonzero(vocabulary.proposable)}
    assert words == {oracle.spelled[number] for number in oracle.allowed}
    assert {"film", "Film", "good", "10"} - words <= {"Film"}  # SentencePiece has learnt fewer
    assert not words & {"<mask>", "", " ", "(", "…", "\ufffd"}
    assert all(word.isprintable() and " " not in word and "Ġ" not in word and "▁" not in word for word in words)


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
def test_a_word_without_a_space_before_it_is_replaced_by_such_words(family):
    """The model says what may stand behind a bracket by pieces without a space; rests of words are none."""
    lm = LMS[family]
    finder, pieces = CandidateFinder(lm, None, CandidateSettings(k=5), 300), TOKENIZERS[KINDS[family]]
    found = finder.propose(finder.prepare(["(film good"])).ids
    inside, behind = (pieces.convert_ids_to_tokens(row[row >= 0].tolist()) for row in found)
    words = {lm.vocabulary.tokens[number] for number in np.flatnonzero(lm.vocabulary.proposable)}
    assert len(inside) == len(behind) == 5
    assert all(piece.startswith(lm.splitter.space) for piece in behind)
    assert {*inside} <= words


@pytest.mark.parametrize("context", ["original", "running"])
@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
@settings(max_examples=40, deadline=None)
@given(text=TEXT)
@example(text="a 中")
def test_words_and_edits_of_any_text(family, context, text):
    plain = PLAIN[family]

    def is_one_word(replacement):  # "中文" is one to byte-level BPE, where WordPiece has two
        return len([word for word in plain.split(f" {replacement}") if word.spelling]) == 1

    words = LMS[family].splitter.split([text])
    cursor = token = 0
    for start, end, first, pieces in zip(words.starts, words.ends, words.tokens, words.pieces, strict=True):
        assert cursor <= start < end <= len(text)
        assert text[start:end].strip(" \t\n\u00a0") == text[start:end] != ""
        assert first >= token
        cursor, token = end, first + pieces
    assert token <= len(words.rows.row(0))
    finder = CandidateFinder(LMS[family], tiny_vectors(), CandidateSettings(k=5, context=context), 300)
    candidates = finder.find([text])
    drawer = {"drawer": RunningDrawer(finder, candidates)} if context == "running" else {}
    sites, one = find_sites(candidates, context == "running"), np.zeros(1, dtype=np.int64)
    batch = draw_variants(sites, one, one[:, None], ["text"], DrawSettings(n=2, p=1.0), **drawer)
    for variant, edits in zip(batch.texts[0].to_pylist(), batch.edits.to_pylist(), strict=True):
        check_edits(text, variant, edits, is_one_word)


def test_long_texts_are_seen_through_windows():
    finder = CandidateFinder(LMS["roberta"], None, CandidateSettings(k=3), 300)
    found = finder.find([LONG])
    assert found.errors == {}
    assert (np.diff(found.offsets)[found.sources == 0] == 3).all()
