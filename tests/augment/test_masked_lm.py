"""Proposals equal the full model's softmax, for BERT (last layer at the masks only) and its kin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from augment.errors import AugmentError
from augment.masked_lm import MaskedLM, resolve_device
from tests.augment.helpers import Copies, one_digit_apart, propose, tiny_lm
from tests.devices import needs_gpu
from tests.fixtures import VOCABULARY, tiny_masked_lm, tiny_tokenizer

SHARED = {"vocab_size": len(VOCABULARY), "initializer_range": 0.4, "max_position_embeddings": 66}
KIN = {
    "bert": (
        "BertConfig",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
    ),
    "bert of one layer": (
        "BertConfig",
        {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64},
    ),
    "distilbert": ("DistilBertConfig", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}),
    "electra": (
        "ElectraConfig",
        {
            "embedding_size": 16,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
        },
    ),
    "mobilebert": (
        "MobileBertConfig",
        {
            "embedding_size": 16,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "intra_bottleneck_size": 16,
            "num_feedforward_networks": 2,
        },
    ),
    "mpnet": (
        "MPNetConfig",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
    ),
}

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
MARKS = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
OTHERS = ("ernie", "nomic_bert", "roberta", "xlm-roberta", "camembert", "data2vec-text", "roberta-prelayernorm")
KIN |= {family: (family, SHAPE) for family in OTHERS}
KIN["modernbert"] = ("modernbert", {**SHAPE, **MARKS, "local_attention": 8})
KIN["eurobert"] = ("eurobert", {**SHAPE, **MARKS, "num_key_value_heads": 2, "mask_token_id": 4})


def model_of(kind):
    name, changes = KIN[kind]
    torch.manual_seed(5)
    settings = {**SHARED, **changes}
    named = getattr(transformers, name, None)
    config = named(**settings) if named else transformers.AutoConfig.for_model(name, **settings)
    return transformers.AutoModelForMaskedLM.from_config(config).eval()


def make_copies(lm, lengths, masks=1, seed=0, second=False):
    """Random copies of the given lengths, padded to the longest."""
    random = np.random.default_rng(seed)
    width = max(lengths)
    ids = np.zeros((len(lengths), width), dtype=np.int64)
    positions = np.full((len(lengths), masks), -1, dtype=np.int64)
    first = np.array(lengths)
    for row, length in enumerate(lengths):
        ids[row, :length] = random.integers(7, len(VOCABULARY), length)
        ids[row, 0], ids[row, length - 1] = lm.cls_id, lm.sep_id
        if second:
            first[row] = length // 2 + 1
            ids[row, length // 2] = lm.sep_id
        count = masks if row % 2 == 0 else 1
        chosen = 1 + np.sort(random.choice(length // 2 - 1, count, replace=False))
        positions[row, :count] = chosen
        ids[row, chosen] = lm.mask_id
    return Copies(ids, np.array(lengths), first, positions)


def full_model(model, lm, copies, k, exclude=None):
    """One copy at a time, unpadded, all logits, softmax, sort of everything that may be proposed."""
    found = []
    slot = 0
    for ids, length, first, positions in zip(
        copies.ids, copies.lengths, copies.first_segment, copies.positions, strict=True
    ):
        arguments = {"input_ids": torch.from_numpy(ids[None, :length])}
        if lm.segments > 1:
            arguments["token_type_ids"] = (torch.arange(length) >= int(first)).long()[None]
        with torch.no_grad():
            logits = model(**arguments).logits[0]
        for position in positions[positions >= 0]:
            chances = torch.softmax(logits[position].double(), dim=0).tolist()
            allowed = [place for place in range(len(chances)) if lm.vocabulary.proposable[place]]
            if exclude is not None:
                allowed = [place for place in allowed if place not in exclude[slot]]
            ranked = sorted((-float(f"{chances[place]:.2e}"), place) for place in allowed)
            found.append(([place for _, place in ranked[:k]], [-chance for chance, _ in ranked[:k]], chances))
            slot += 1
    return found


def check_same(ids, scores, expected):
    """Same scores within one in the last digit; same words unless such a difference decides their order."""
    assert len(ids) == len(expected)
    same_words = 0
    for row_ids, row_scores, (wanted_ids, wanted_scores, chances) in zip(ids, scores, expected, strict=True):
        assert (row_ids[len(wanted_ids) :] == -1).all()
        row_ids, row_scores = row_ids[: len(wanted_ids)], row_scores[: len(wanted_ids)]
        assert len(set(row_ids.tolist())) == len(row_ids)
        same_words += row_ids.tolist() == wanted_ids
        for number, score, wanted in zip(row_ids, row_scores, wanted_scores, strict=True):
            assert one_digit_apart(float(score), wanted)
            assert one_digit_apart(float(score), float(f"{chances[number]:.2e}"))
        order = list(zip((-row_scores).tolist(), row_ids.tolist(), strict=True))
        assert order == sorted(order)
    assert same_words >= 0.8 * len(ids)


@pytest.mark.parametrize("kind", KIN)
@pytest.mark.parametrize("lengths", [[12] * 5, [20, 7, 13, 20, 9]], ids=["unpadded", "padded"])
@pytest.mark.parametrize("masks", [1, 3])
def test_proposals_equal_the_full_model(kind, lengths, masks):
    lm = MaskedLM(model_of(kind), tiny_tokenizer())
    copies = make_copies(lm, lengths, masks)
    ids, scores = propose(lm, copies, 10)
    check_same(ids, scores, full_model(model_of(kind), lm, copies, 10))


@pytest.mark.parametrize("kind", KIN)
def test_second_segments(kind):
    lm = MaskedLM(model_of(kind), tiny_tokenizer())
    copies = make_copies(lm, [20, 14, 17], 2, second=True)
    ids, scores = propose(lm, copies, 10)
    check_same(ids, scores, full_model(model_of(kind), lm, copies, 10))


def test_segments_matter_to_bert():
    lm = tiny_lm()
    pair, single = (make_copies(lm, [20, 20], second=second) for second in (True, False))
    single.ids[:] = pair.ids
    assert propose(lm, pair, 5)[1].tolist() != propose(lm, single, 5)[1].tolist()


def test_a_lonely_copy_equals_the_same_copy_in_a_padded_batch():
    lm = tiny_lm()
    copies = make_copies(lm, [30, 8, 19])
    ids, scores = propose(lm, copies, 10)
    for row, length in enumerate(copies.lengths):
        rows = slice(row, row + 1)
        alone = Copies(
            copies.ids[rows, :length], copies.lengths[rows], copies.first_segment[rows], copies.positions[rows]
        )
        one_ids, one_scores = propose(lm, alone, 10)
        assert all(map(one_digit_apart, one_scores[0].tolist(), scores[row].tolist()))
        assert len(set(one_ids[0].tolist()) & set(ids[row].tolist())) >= 9


def test_more_masks_than_the_head_takes_at_once(monkeypatch):
    lm = tiny_lm()
    copies = make_copies(lm, [20] * 9, 4)
    exclude = np.arange(42).reshape(21, 2)
    expected = propose(lm, copies, 6, exclude)
    monkeypatch.setattr("augment.precision.HEAD_ROWS", 4)
    ids, scores = propose(lm, copies, 6, exclude)
    assert len(ids) == 21 + 3
    np.testing.assert_allclose(scores, expected[1], rtol=0.02)


def test_excluded_words_are_not_proposed():
    lm = tiny_lm()
    copies = make_copies(lm, [16] * 4)
    best = propose(lm, copies, 10)[0][:, [0, 3]].astype(np.int64)
    exclude = best.copy()
    exclude[1, 1] = exclude[2] = -1
    ids, scores = propose(lm, copies, 10, exclude)
    check_same(ids, scores, full_model(tiny_masked_lm(), lm, copies, 10, exclude))
    assert [[one in ids[row] for one in best[row]] for row in range(4)] == [
        [False, False], [False, True], [True, True], [False, False]
    ]  # fmt: skip


def test_more_words_wanted_than_there_are():
    lm = tiny_lm()
    copies = make_copies(lm, [16, 16])
    ids, scores = propose(lm, copies, 1000)
    proposable = int(lm.vocabulary.proposable.sum())
    assert ids.shape == scores.shape == (2, 1000)
    assert ((ids >= 0).sum(axis=1) == proposable).all()
    assert (ids[:, proposable:] == -1).all()
    assert (scores[:, proposable:] == 0).all()
    assert set(ids[0, :proposable].tolist()) == set(np.flatnonzero(lm.vocabulary.proposable).tolist())


def test_scores_are_chances_before_any_filter():
    # Of all words together they sum to less than one: pieces and special tokens have their share.
    lm = tiny_lm()
    _, scores = propose(lm, make_copies(lm, [16]), 1000)
    assert 0.2 < scores.sum() < 0.99


def test_logits_that_are_not_finite_are_an_error():
    model = tiny_masked_lm()
    with torch.no_grad():
        model.cls.predictions.bias[3] = float("nan")
    lm = MaskedLM(model, tiny_tokenizer())
    with pytest.raises(FloatingPointError, match="not finite"):
        propose(lm, make_copies(lm, [12]), 5)


@pytest.mark.parametrize("kind", KIN)
def test_a_text_as_long_as_the_window(kind):
    lm = MaskedLM(model_of(kind), tiny_tokenizer())
    copies = make_copies(lm, [lm.window])
    ids, scores = propose(lm, copies, 10)
    check_same(ids, scores, full_model(model_of(kind), lm, copies, 10))


def test_bf16_finds_mostly_the_same_words():
    copies = make_copies(tiny_lm(), [16] * 8)
    exact, _ = propose(tiny_lm(), copies, 20)
    coarse, _ = propose(MaskedLM(tiny_masked_lm(), tiny_tokenizer(), precision="bf16"), copies, 20)
    shared = [len(set(left) & set(right)) for left, right in zip(exact.tolist(), coarse.tolist(), strict=True)]
    assert np.mean(shared) > 17


def test_tokenizers_that_cannot_be_used():
    tokenizer = tiny_tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(AugmentError, match=r"mask_token.*choose one such as bert-base-uncased"):
        MaskedLM(tiny_masked_lm(), tokenizer)
    with pytest.raises(AugmentError, match="slow"):
        MaskedLM(tiny_masked_lm(), object())


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_proposes_what_the_cpu_does(precision):
    lm = MaskedLM(tiny_masked_lm(), tiny_tokenizer(), "cuda", precision)
    copies = make_copies(lm, [16] * 20 + [9, 30], masks=2)
    expected_ids, expected_scores = propose(tiny_lm(), copies, 20)
    ids, scores = propose(lm, copies, 20)
    shared = [len(set(left) & set(right)) for left, right in zip(ids.tolist(), expected_ids.tolist(), strict=True)]
    assert np.mean(shared) >= (19.8 if precision == "fp32" else 18)
    if precision == "fp32":  # scores of the same words: by rank near ties would compare different ones
        np.testing.assert_allclose(scores, expected_scores, rtol=0.011)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_devices_without_a_gpu():
    assert resolve_device("auto") == "cpu"
    assert resolve_device("cpu") == "cpu"
    with pytest.raises(AugmentError, match=r"'cuda:1'.*found none"):
        resolve_device("cuda:1")
