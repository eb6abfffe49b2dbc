"""Every layout gives the same candidates; on a GPU's own few shapes, full batches, and nothing that waits."""

from __future__ import annotations

import inspect
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from augment.batch import attention_end_to_end
from augment.candidates import CandidateFinder
from augment.head import Head
from augment.layouts import Layout
from augment.masked_copies import MaskedCopies, Masks, SpecialIds
from augment.masked_lm import MaskedLM
from augment.precision import default_layout
from augment.presets import CandidateSettings
from augment.vocabulary import Vocabulary
from augment.words import TokenRows
from tests.augment.helpers import TEXTS, one_digit_apart, tiny_finder, tiny_vectors
from tests.augment.test_masked_lm import model_of
from tests.devices import needs_gpu
from tests.fixtures import tiny_masked_lm, tiny_tokenizer

WAITING = ("_local_scalar_dense", "nonzero", "masked_select")
GPU_TOKENS = 65_536


def found_in(layout, **settings):
    finder = tiny_finder(0, k=5, **settings)
    finder.model.layout = layout
    return finder.find(TEXTS)


@pytest.mark.parametrize("layout", [Layout.EQUAL, Layout.EIGHTS, Layout.PACKED])
@pytest.mark.parametrize(
    "settings", [{}, {"segment": "self"}, {"mask_spacing": 3}, {"exclude_original": True, "batch_tokens": 70}]
)
def test_the_same_candidates_in_every_layout(layout, settings):
    expected, found = found_in(Layout.NEAR, **settings), found_in(layout, **settings)
    assert found.counts == expected.counts
    assert (found.starts == expected.starts).all()
    shared = [
        len({name for name, _ in expected.of_word(word)} & {name for name, _ in found.of_word(word)}) / 5
        for word in np.flatnonzero(np.diff(expected.offsets) == 5)
    ]
    assert np.mean(shared) > 0.99
    for word in range(len(found.starts)):
        scores = ([score for _, score in table.of_word(word)] for table in (found, expected))
        assert all(one_digit_apart(*pair) for pair in zip(*scores, strict=True))


@pytest.mark.parametrize("kind", ["distilbert", "mpnet"])
def test_its_kin_runs_over_padded_rows(kind):
    tables = []
    for layout in (Layout.NEAR, Layout.EIGHTS):
        model = MaskedLM(model_of(kind), tiny_tokenizer())
        model.layout = layout
        tables.append(CandidateFinder(model, None, CandidateSettings(k=3), 300).find(TEXTS))
    near, eights = tables
    assert np.mean(near.codes == eights.codes) > 0.9
    np.testing.assert_allclose(near.scores, eights.scores, rtol=0.011)


def sentences(rows, seed=0):
    """Copies for made-up texts about as long as those of SST-2: 9.4 words, 1 to 52, with a long tail."""
    random = np.random.default_rng(seed)
    words = np.clip(random.gamma(1.3, 7.2, rows).astype(np.int64) + 1, 1, 52)
    sizes = words + random.binomial(words, 0.15)
    texts = np.repeat(np.arange(rows), words)
    number = np.arange(len(texts)) - np.repeat(np.cumsum(words) - words, words)
    offsets = np.append(0, np.cumsum(sizes))
    masks = Masks(texts, number, number, np.arange(len(texts)))
    return MaskedCopies(TokenRows(np.full(offsets[-1], 9), offsets), None, masks, SpecialIds(1, 2, 3, 512))


def test_few_shapes_and_full_batches():
    copies = sentences(20_000)
    filled, shapes = {}, {}
    for layout in Layout:
        cuts = list(copies.cutter(layout, GPU_TOKENS).cuts())
        filled[layout] = sum(copies.lengths) / len(cuts) / GPU_TOKENS
        shapes[layout] = len({(cut.rows, cut.width) for cut in cuts})
    assert max(shapes[layout] for layout in (Layout.EQUAL, Layout.EIGHTS, Layout.PACKED)) <= 100
    assert shapes[Layout.PACKED] <= 2
    assert filled[Layout.PACKED] > 0.97
    assert filled[Layout.EIGHTS] > 0.8


class Seen(TorchDispatchMode):
    """Counts operations."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names[func.__name__.split(".")[0]] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("settings", [{}, {"segment": "self", "mask_spacing": 3}, {"exclude_original": True}])
def test_nothing_in_a_batch_waits_for_the_device(monkeypatch, layout, settings):
    finder, batches = tiny_finder(0, k=5, **settings), Counter()
    finder.model.layout = layout
    start = finder.model.start

    def watched(batch, k):
        with Seen() as seen:
            answers = start(batch, k)
        batches.update(seen.names)
        return answers

    monkeypatch.setattr(finder.model, "start", watched)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda _: pytest.fail("copied to the host within a batch"))
    with Seen() as made:
        finder.find(TEXTS)
    every = batches + made.names
    assert every["index"] + every["gather"] > 0
    assert [name for name in every if name in WAITING] == []


def test_attention_end_to_end_stays_within_each_copy():
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(size, 2, 4, generator=random) for size in (4, 12, 12))
    starts, query_starts = torch.tensor([0, 3, 8, 11], dtype=torch.int32), torch.tensor([0, 1, 3, 4], dtype=torch.int32)
    found = attention_end_to_end(query, key, value, query_starts, starts, 2, 5)
    for number, copy in enumerate([0, 1, 1, 2]):
        inside = slice(int(starts[copy]), int(starts[copy + 1]))
        scores = torch.einsum("hd,shd->hs", query[number], key[inside]) / 2
        expected = torch.einsum("hs,shd->hd", scores.softmax(1), value[inside])
        torch.testing.assert_close(found[number], expected)


@pytest.mark.parametrize("layout", [Layout.NEAR, Layout.PACKED])
def test_the_encoder_is_one_graph(layout):
    finder = tiny_finder(0, k=5)
    finder.model.layout = layout
    expected = finder.find(TEXTS)
    finder.model.compile(backend="eager", fullgraph=True, dynamic=True)
    found = finder.find(TEXTS)
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(found.scores, expected.scores)


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("layout", Layout)
def test_a_gpu_finds_what_the_cpu_does_in_every_layout(layout, precision):
    expected = found_in(Layout.NEAR)
    model = MaskedLM(tiny_masked_lm(0), tiny_tokenizer(), "cuda", precision)
    model.layout = layout
    found = CandidateFinder(model, tiny_vectors(), CandidateSettings(k=5), 300).find(TEXTS)
    assert (found.starts == expected.starts).all()
    shared = [
        len({name for name, _ in expected.of_word(word)} & {name for name, _ in found.of_word(word)}) / 5
        for word in np.flatnonzero(np.diff(expected.offsets) == 5)
    ]
    assert np.mean(shared) > (0.99 if precision == "fp32" else 0.9)


@needs_gpu
def test_a_batch_on_a_gpu_is_not_waited_for():
    model = MaskedLM(tiny_masked_lm(0), tiny_tokenizer(), "cuda", "bf16")
    finder = CandidateFinder(model, None, CandidateSettings(k=5), 300)
    asked = finder.prepare(TEXTS)
    finder.propose(asked)  # what is made once, is made
    there, cutter = model.on_device(asked.copies), asked.copies.cutter(model.layout, 300)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        answers = [model.start(there.batch(cut, model.layout), 5) for cut in cutter.cuts()]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(len(one.taken(1)[0]) == 1 for one in answers)


@needs_gpu
def test_a_batch_that_does_not_fit_a_gpu_is_split():
    """A card of which this process may have 256 MB more than it has now, and a batch of a million tokens."""
    texts = [" ".join(TEXTS)] * 3000
    expected = CandidateFinder(
        MaskedLM(tiny_masked_lm(0), tiny_tokenizer(), "cuda"), None, CandidateSettings(k=5), 8192
    )
    whole = expected.find(texts)
    finder = CandidateFinder(expected.model, None, CandidateSettings(k=5), 1 << 22)
    torch.cuda.empty_cache()
    memory = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (256 << 20)) / memory)
    try:
        found = finder.find(texts)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert found.counts["split_batches"] > 0
    assert not found.errors
    assert (found.offsets == whole.offsets).all()


def test_long_ties_are_decided_over_the_whole_vocabulary():
    size = 9000
    vocabulary = Vocabulary([f"w{number}" for number in range(size)], np.arange(size) != 7)
    table = torch.zeros(300, size)
    table[5, 8000], table[5, :100] = 5.0, -1.0  # one best, then more ties than are looked at
    table[280, :] = torch.linspace(0, 9, size)
    head = Head(lambda hidden: table[hidden[:, 0].long()].clone(), vocabulary, torch.device("cpu"), torch.no_grad)
    rows = torch.arange(300.0)[:, None]
    ids, scores = head.answers(rows, 4, None).taken(290)
    assert ids.shape == scores.shape == (290, 4)
    assert ids[5].tolist() == [8000, 100, 101, 102]
    assert ids[0].tolist() == ids[289].tolist() == [0, 1, 2, 3]
    assert ids[280].tolist() == sorted(ids[280], key=lambda word: (-scores[280, ids[280].tolist().index(word)], word))


def test_a_cpu_pads_near_lengths_and_a_gpu_has_few_shapes():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert default_layout(cpu, by_layers=True, end_to_end=True) is Layout.NEAR
    assert default_layout(cuda, by_layers=True, end_to_end=True) is Layout.PACKED
    assert default_layout(cuda, by_layers=True, end_to_end=False) is Layout.EIGHTS
    assert default_layout(cuda, by_layers=False, end_to_end=True) is Layout.EIGHTS


def test_torch_s_kernel_is_called_as_it_wants_to_be(monkeypatch):
    varlen = pytest.importorskip("torch.nn.attention.varlen")
    seen = []

    def kernel(query, key, value, query_starts, starts, most_queries, longest):
        inspect.signature(varlen.varlen_attn).bind(query, key, value, query_starts, starts, most_queries, longest)
        seen.append((query.shape[1:], query_starts.dtype, starts.dtype, len(query_starts) == len(starts)))
        assert int(starts[-1]) <= len(key)
        assert int(query_starts.diff().max()) <= most_queries
        assert int(starts.diff().max()) <= longest
        return attention_end_to_end(query, key, value, query_starts, starts, most_queries, longest)

    finder = tiny_finder(0, k=5, mask_spacing=3)
    finder.model.layout = Layout.PACKED
    plain = finder.find(TEXTS)
    monkeypatch.setattr(finder.model, "_varlen", kernel)
    found = finder.find(TEXTS)
    assert (found.codes == plain.codes).all()
    assert set(seen) == {(torch.Size([4, 8]), torch.int32, torch.int32, True)}
