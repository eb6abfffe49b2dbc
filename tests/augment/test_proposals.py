"""Batches that fail: a poisoned copy stays alone, a failing device is nobody's fault, memory halves the batch."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch

from augment import Augmenter, masked_lm
from augment.errors import DeviceLostError, FailedExamplesError, ModelFailedError
from augment.layouts import Cutter, Layout
from augment.masked_lm import MaskedLM
from augment.presets import DrawSettings
from augment.running import RunningDrawer
from augment.sites import find_sites
from augment.variants import draw_variants
from tests.augment.helpers import TEXTS, tiny_finder
from tests.augment.test_candidate_table import plain
from tests.fixtures import VOCABULARY

POISON = VOCABULARY.index("fish")


def failing(finder, trouble):
    """The finder with a model that fails where trouble(copies) gives an error; records the shapes it was given."""
    start, shapes = finder.model.start, []

    def instead(batch, k):
        shapes.append(batch.ids.shape)
        error = trouble(batch)
        if error is not None:
            raise error
        return start(batch, k)

    finder.model.start = instead
    return shapes


def poisoned(copies):
    return FloatingPointError("the masked LM gave\nno numbers") if (copies.ids == POISON).any() else None


def memory_for(tokens):
    def trouble(copies):
        if copies.ids.numel() > tokens:
            return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return None

    return trouble


@pytest.mark.parametrize("spacing", [0, 3])
def test_a_poisoned_copy_isolates_its_text(spacing):
    texts = [*TEXTS[:6], "a red fish and a cat", *TEXTS[6:9], "fish"]
    clean = tiny_finder(0, k=3, mask_spacing=spacing).find(texts)
    finder = tiny_finder(0, k=3, mask_spacing=spacing)
    failing(finder, poisoned)
    found = finder.find(texts)
    # With a single mask on it, the fish is not seen: a text that is nothing else has no other copy.
    assert set(found.errors) == {6}
    assert found.errors[6] == "FloatingPointError: the masked LM gave"
    assert plain(found, 6) == (texts[6], [])
    for number in set(range(len(texts))) - {6}:
        same_up_to_rounding(plain(found, number), plain(clean, number))
    assert found.counts["failed_texts"] == 1
    assert found.counts["split_batches"] == 0
    assert found.counts["eligible_words"] == len(found.starts)


def same_up_to_rounding(found, expected):
    """Batches of another shape may change the last bits: the same words but for near ties."""
    assert found[0] == expected[0]
    assert [word[:3] for word in found[1]] == [word[:3] for word in expected[1]]
    for left, right in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose([score for _, score in left[3]], [score for _, score in right[3]], rtol=0.011)


@pytest.mark.parametrize("options", [{}, {"mask_spacing": 2}, {"exclude_original": True}])
def test_a_batch_that_does_not_fit_is_halved(options):
    whole = tiny_finder(0, k=3, batch_tokens=400, **options)
    shapes = failing(whole, lambda _: None)
    expected = whole.find(TEXTS)
    assert max(rows * width for rows, width in shapes) > 150
    finder = tiny_finder(0, k=3, batch_tokens=400, **options)
    shapes = failing(finder, memory_for(150))
    found = finder.find(TEXTS)
    assert found.errors == {}
    assert 1 <= found.counts["split_batches"] == sum(rows * width > 150 for rows, width in shapes) <= 4
    assert expected.counts["split_batches"] == 0
    for number in range(len(TEXTS)):
        same_up_to_rounding(plain(found, number), plain(expected, number))
    shared = sum(plain(found, number) == plain(expected, number) for number in range(len(TEXTS)))
    assert shared >= len(TEXTS) - 2
    ignored = {"split_batches"}
    assert {name: value for name, value in found.counts.items() if name not in ignored} == {
        name: value for name, value in expected.counts.items() if name not in ignored
    }


@pytest.mark.parametrize("layout", [Layout.PACKED, Layout.EQUAL, Layout.EIGHTS])
def test_halves_are_not_filled_up_again(layout):
    texts, tokens = ["a good film", "a red fish and a cat"] * 3, []
    finder = tiny_finder(0, k=3, batch_tokens=64)
    finder.model.layout = layout
    cut = Cutter.cut

    def kept(cutter, *given, **named):
        tokens.append((cut(cutter, *given, **named), named))
        return tokens[-1][0]

    failing(finder, memory_for(24))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cutter, "cut", kept)
        assert finder.find(texts).errors == {}
    halves = [made for made, named in tokens if named]
    assert halves
    if layout is not Layout.PACKED:
        assert all(half.rows == half.stop - half.start for half in halves)
    else:
        assert any(half.width & (half.width - 1) for half in halves)  # 64, 32, 16 … are widths filled up


def test_a_single_copy_that_does_not_fit_stops_the_job():
    finder = tiny_finder(0)
    failing(finder, memory_for(5))
    with pytest.raises(RuntimeError, match="out of memory"):
        finder.find(["the film is very good"])


def test_memory_and_poison_at_once():
    finder = tiny_finder(0, k=2)
    failing(finder, lambda copies: memory_for(60)(copies) or poisoned(copies))
    found = finder.find(["the film is good", "red fish and blue bird", "a bad plot"])
    assert set(found.errors) == {1}
    assert found.counts["split_batches"] > 0
    assert np.diff(found.text_offsets).tolist() == [4, 0, 3]


def on_the_text_alone(error):
    """Fails on everything but the probe of three tokens."""
    return lambda copies: error if copies.ids.shape[1] > 3 else None


def test_errors_without_a_reason_and_bugs():
    finder = tiny_finder(0)
    failing(finder, on_the_text_alone(RuntimeError()))
    assert finder.find(["good film"]).errors == {0: "RuntimeError: no reason given"}
    finder = tiny_finder(0)
    failing(finder, lambda _: KeyError("a mistake of ours"))
    with pytest.raises(KeyError):  # not blamed on the text
        finder.find(["good"])


@pytest.mark.parametrize("context", ["original", "running"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), DeviceLostError),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), DeviceLostError),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ModelFailedError),
        (FloatingPointError("the masked LM gave logits that are not finite"), ModelFailedError),
        (IndexError("index out of range in self"), ModelFailedError),
    ],
    ids=lambda value: str(value)[:12] if isinstance(value, Exception) else "",
)
def test_a_model_that_fails_on_everything_blames_no_text(context, error, kind):
    finder = tiny_finder(0, k=2, context=context)
    augmenter = Augmenter(finder.model, None, finder.settings)
    failing(finder, lambda _: error)
    with pytest.raises(ModelFailedError, match=r"\[CLS\] \[MASK\] \[SEP\], too .*run the same command") as failed:
        augmenter.augment(TEXTS[:4], n=2, p=0.9)
    assert type(failed.value) is kind
    assert str(error) in str(failed.value)


def no_kernel(*_):
    raise RuntimeError("Torch was not compiled with flash attention.")


def test_an_attention_kernel_that_fails_blames_no_text():
    finder = tiny_finder(0, k=2)
    finder.model.layout, finder.model._varlen = Layout.PACKED, no_kernel
    with pytest.raises(ModelFailedError, match="flash attention"):
        finder.find(TEXTS)


def test_a_model_is_loaded_without_an_attention_kernel_that_fails(monkeypatch):
    given = tiny_finder(0, k=2).model._again[1]
    monkeypatch.setattr(masked_lm, "default_layout", lambda *_: Layout.PACKED)
    assert MaskedLM(*given).layout is Layout.PACKED
    monkeypatch.setattr(masked_lm, "varlen_kernel", lambda *_: no_kernel)
    model = MaskedLM(*given)
    assert (model.layout, model._varlen) == (Layout.EIGHTS, None)


def test_a_device_that_fails_half_way_blames_no_text_either():
    finder = tiny_finder(0, k=2, batch_tokens=60)
    calls = []

    def trouble(_):
        calls.append(1)
        return RuntimeError("CUDA error: unspecified launch failure") if len(calls) > 3 else None

    failing(finder, trouble)
    with pytest.raises(DeviceLostError):
        finder.find(TEXTS)


def test_a_batch_that_did_not_fit_is_gone_before_its_halves_run():
    finder = tiny_finder(0, k=2, batch_tokens=400)
    alive = []

    def trouble(copies):
        assert not any(tensor() is not None for tensor in alive), "a failed batch still holds its memory"
        hidden = torch.zeros(100)
        alive.append(weakref.ref(hidden))
        if copies.ids.numel() > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")  # from this frame, which holds the tensor

    failing(finder, trouble)
    assert finder.find(TEXTS).counts["split_batches"] > 0
    assert len(alive) > 7


@pytest.mark.parametrize("layout", list(Layout)[:3])
def test_after_a_batch_that_did_not_fit_all_are_smaller_for_good(layout):
    finder = tiny_finder(0, k=3, batch_tokens=400)
    finder.model.layout = layout
    shapes = failing(finder, memory_for(150))
    assert finder.find(TEXTS).counts["split_batches"] == 3  # one of 400 tokens, two of 200
    shapes.clear()
    assert finder.find(TEXTS).counts["split_batches"] == 0
    assert max(rows * width for rows, width in shapes) <= 150
    assert len(shapes) < 2 * sum(rows * width for rows, width in shapes) / 75  # and not smaller than they need be


def test_count_says_what_find_does():
    for options in ({}, {"mask_spacing": 3}, {"segment": "self"}, {"max_words": 10}):
        finder = tiny_finder(0, k=2, **options)
        found, counted = finder.find(TEXTS).counts, finder.count(TEXTS)
        for name in ("masked_words", "masked_copies", "mlm_tokens"):
            assert counted[name] == found[name], (options, name)
        assert counted["multi_piece_words"] == found["multi_piece_words"]


def test_the_running_context_names_the_examples_that_fail():
    finder = tiny_finder(0, k=3, context="running")
    texts = ["the film is good", "red fish and blue bird", "a bad plot"]
    candidates = finder.find(texts)
    failing(finder, poisoned)
    rows = np.array([2, 1, 0])
    drawer = RunningDrawer(finder, candidates)
    with pytest.raises(FailedExamplesError) as failed:
        draw_variants(
            find_sites(candidates, True),
            rows + 50,
            rows[:, None],
            ["text"],
            DrawSettings(n=3, p=0.9, seed=1),
            drawer=drawer,
        )
    assert failed.value.errors == {1: "FloatingPointError: the masked LM gave"}
