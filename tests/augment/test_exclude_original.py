"""With `exclude_original` every draw changes something, whatever the case of the word and of the vocabulary."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from augment.candidates import CandidateFinder
from augment.masked_lm import MaskedLM
from augment.presets import CandidateSettings, DrawSettings
from augment.running import RunningDrawer
from augment.sites import find_sites
from augment.variants import draw_variants
from glove import fold_case, vectors_from_arrays
from tests.fixtures import SPECIAL, tiny_masked_lm

# A cased vocabulary as bert-base-cased has it: the same word in several spellings.
WORDS = "the The THE film Film FILM i I ı is Is good Good straße Strasse STRASSE ß SS ǆ ǅ Ǆ"
VOCABULARY = [*SPECIAL, *WORDS.split(), "##s", "ı", "x", "##y"]
TEXT = "The film IS Good. THE Film, the I; Strasse ǅ zzz IŞIK"


def cased_model():
    ids = {token: number for number, token in enumerate(dict.fromkeys(VOCABULARY))}
    backend = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    roles = {role: f"[{role[:-6].upper()}]" for role in ("unk_token", "cls_token", "sep_token", "mask_token")}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", **roles)
    return MaskedLM(tiny_masked_lm(vocab_size=len(ids)), tokenizer)


def vectors():
    words = ["IŞIK", "ışık", "Işık", "film", "zzz", "ZZZ", "other", "Zzz"]
    return vectors_from_arrays(words, np.random.default_rng(0).normal(size=(len(words), 4)))


@pytest.mark.parametrize("context", ["original", "running"])
def test_every_draw_is_an_edit(context):
    finder = CandidateFinder(
        cased_model(), vectors(), CandidateSettings(k=9, exclude_original=True, context=context), batch_tokens=100
    )
    candidates = finder.find([TEXT])
    drawer = {"drawer": RunningDrawer(finder, candidates)} if context == "running" else {}
    drawn = (find_sites(candidates, context == "running"), np.array([0]), np.array([[0]]), ["text"])
    batch = draw_variants(*drawn, DrawSettings(n=200, p=1.0), **drawer)
    assert batch.counts["draws"] == 200 * 11
    assert batch.counts["identity_draws"] == 0
    for edits in batch.edits.to_pylist()[1:]:
        assert len(edits) == 11
        assert all(edit["original"] != edit["replacement"] for edit in edits)


def test_without_it_the_word_itself_is_proposed():
    # Otherwise the test above would say nothing.
    finder = CandidateFinder(cased_model(), vectors(), CandidateSettings(k=30))
    found = finder.find([TEXT])
    assert {"the", "The", "THE"} & {spelling for spelling, _ in found.of_word(0)}


@pytest.mark.parametrize("word", ["The", "ı", "I", "İ", "ß", "SS", "ſ", "ǅ", "ŉ", "µ", "K", "ﬃ", "ς", "Σ", "film"])
def test_a_fold_survives_every_change_of_case(word):
    for changed in (word.lower(), word.upper(), word.capitalize(), word.title(), word.casefold()):
        assert fold_case(changed) == fold_case(word)
