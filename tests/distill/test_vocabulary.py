"""distill/vocabulary.py: texts whose pieces stay get the logits they had; what could be cut without [UNK] still can."""

from __future__ import annotations

import json

import pytest
import torch
from tokenizers import Tokenizer

from distill.errors import DistillError
from distill.families import FAMILIES
from distill.vocabulary import check_trimmable, kept_pieces, numbered, trim_embeddings, trimmed_tokenizer
from tests.distill.models import tiny_encoder
from tests.fixtures import VOCABULARY, tiny_tokenizer, tokenizer_of

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def content_of(tokenizer):
    return json.loads(tokenizer.backend_tokenizer.to_str())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_whose_pieces_stay_keeps_its_logits(family):
    model, content = tiny_encoder(family), content_of(tiny_tokenizer())
    whole = Tokenizer.from_str(json.dumps(content))
    text = "a good film and a bad movie"
    ids = whole.encode(text).ids
    kept = kept_pieces(content, set(ids), 0.0)
    assert len(kept) < len(VOCABULARY)
    with torch.no_grad():
        before = model(input_ids=torch.tensor([ids])).logits
        trim_embeddings(model, [numbered(content)[piece] for piece in kept])
        fewer = Tokenizer.from_str(json.dumps(trimmed_tokenizer(content, kept)))
        assert fewer.encode(text).tokens == whole.encode(text).tokens
        after = model(input_ids=torch.tensor([fewer.encode(text).ids])).logits
    torch.testing.assert_close(after, before)
    assert model.config.vocab_size == model.get_input_embeddings().num_embeddings == fewer.get_vocab_size() == len(kept)


def test_what_is_kept_of_a_vocabulary():
    pieces = [*SPECIAL, "[unused0]", "a", "b", "##a", "##b", "ab", "ba", "##ab", "é", "béa", "aba", "bab"]
    content = content_of(tokenizer_of(pieces))
    used = {content["model"]["vocab"]["bab"]}
    least = [*SPECIAL, "a", "b", "##a", "##b", "é", "béa", "bab"]  # é is no piece within a word: béa needs its own
    assert kept_pieces(content, used, 0.0) == least
    assert kept_pieces(content, used, 0.5) == [*SPECIAL, "a", "b", "##a", "##b", "ab", "ba", "é", "béa", "bab"]
    assert kept_pieces(content, used, 1.0) == [piece for piece in pieces if piece != "[unused0]"]
    fewer = Tokenizer.from_str(json.dumps(trimmed_tokenizer(content, least)))
    assert fewer.encode("bab abab").tokens == ["[CLS]", "bab", "a", "##b", "##a", "##b", "[SEP]"]
    assert [fewer.token_to_id(piece) for piece in least] == list(range(len(least)))


def test_tokens_that_were_added_stay():
    tokenizer = tokenizer_of([*SPECIAL, "a", "ab"])
    tokenizer.add_tokens(["[TICKET]"])
    content = content_of(tokenizer)
    kept = kept_pieces(content, set(), 0.0)
    assert kept == [*SPECIAL, "a", "ab", "[TICKET]"]  # b is no piece: ab alone has it
    fewer = Tokenizer.from_str(json.dumps(trimmed_tokenizer(content, kept)))
    assert fewer.encode("a [TICKET]").ids == [2, 5, 7, 3]


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ({"type": "BPE", "vocab": {}}, "found BPE"),
        ({"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"a": 0}}, "found none among its 1"),
    ],
)
def test_other_vocabularies_are_refused(model, found):
    with pytest.raises(DistillError, match=found):
        check_trimmable({"model": model}, "student x")
