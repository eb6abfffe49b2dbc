"""Losses against hand-computed numbers and a plain reimplementation in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from distill.errors import DistillError
from distill.losses import (
    HeadReduction,
    LayerStates,
    LossSettings,
    attention_loss,
    hidden_loss,
    intermediate_losses,
    score_loss,
    soft_cross_entropy,
    total_loss,
)

LENGTHS = (5, 3, 1)
MASK = torch.tensor([[1] * n + [0] * (5 - n) for n in LENGTHS])


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plain_mse(student, teacher, lengths, pairs: bool) -> list[float]:
    """Loops over examples, heads, positions: the definition, nothing else."""
    results = []
    for s, t, n in zip(student.numpy(), teacher.numpy(), lengths, strict=True):
        own = (s[:, :n, :n] - t[:, :n, :n]) if pairs else (s[:n] - t[:n])
        results.append(sum(float(value) ** 2 for value in own.ravel()) / own.size)
    return results


def test_attention_by_hand():
    student = torch.tensor([[[[1.0, 2.0, 9.0], [3.0, 4.0, 9.0], [9.0, 9.0, 9.0]]] * 2])
    teacher = torch.zeros(1, 2, 3, 3)
    # Two heads, two own positions: (1 + 4 + 9 + 16) / 4 in each head.
    assert attention_loss(student, teacher, torch.tensor([[1, 1, 0]])).tolist() == [7.5]


def test_hidden_by_hand():
    student = torch.tensor([[[1.0, 3.0], [5.0, 5.0]]])
    # One own position: (1 + 9) / 2.
    assert hidden_loss(student, torch.zeros(1, 2, 2), torch.tensor([[1, 0]])).tolist() == [5.0]


def test_prediction_by_hand():
    even = torch.zeros(1, 2)
    sure = torch.tensor([[math.log(3.0), 0.0]])  # softmax 3/4, 1/4
    assert soft_cross_entropy(even, sure)[0].item() == pytest.approx(math.log(2))
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert soft_cross_entropy(sure, sure)[0].item() == pytest.approx(expected)
    # Both logits are divided: at t = 2 the teacher's odds are √3 to 1.
    odds = math.sqrt(3) / (1 + math.sqrt(3))
    expected = -(odds * math.log(odds) + (1 - odds) * math.log(1 - odds))
    assert soft_cross_entropy(sure, sure, temperature=2.0)[0].item() == pytest.approx(expected)


def test_regression_by_hand():
    assert score_loss(torch.tensor([[1.0], [4.0]]), torch.tensor([[3.0], [4.5]])).tolist() == [4.0, 0.25]


def test_against_the_plain_reimplementation():
    s, t = drawn(3, 4, 5, 5, seed=1), drawn(3, 4, 5, 5, seed=2)
    assert attention_loss(s, t, MASK).tolist() == pytest.approx(plain_mse(s, t, LENGTHS, True), rel=1e-12)
    s, t = drawn(3, 5, 6, seed=3), drawn(3, 5, 6, seed=4)
    assert hidden_loss(s, t, MASK).tolist() == pytest.approx(plain_mse(s, t, LENGTHS, False), rel=1e-12)
    s, t = drawn(3, 4, seed=5).numpy(), drawn(3, 4, seed=6).numpy()
    p = np.exp(t / 1.7) / np.exp(t / 1.7).sum(-1, keepdims=True)
    q = np.exp(s / 1.7) / np.exp(s / 1.7).sum(-1, keepdims=True)
    found = soft_cross_entropy(torch.from_numpy(s), torch.from_numpy(t), 1.7)
    assert found.tolist() == pytest.approx((-(p * np.log(q)).sum(-1)).tolist(), rel=1e-12)


def states(width: int, seed: int, lengths=LENGTHS, heads: int = 2) -> tuple[LayerStates, torch.Tensor]:
    """Random states whose own entries do not depend on `width`; what is padded is NaN."""
    mask = torch.tensor([[1] * n + [0] * (width - n) for n in lengths])
    hidden, scores = (
        torch.full((3, 3, width, 6), torch.nan),
        torch.full((2, 3, heads, width, width), torch.nan),
    )
    for row, n in enumerate(lengths):
        hidden[:, row, :n] = drawn(3, n, 6, seed=seed + n).float()
        scores[:, row, :, :n, :n] = drawn(2, heads, n, n, seed=seed + 10 + n).float()
    return LayerStates(hidden[0], tuple(hidden[1:]), tuple(scores)), mask


def test_padding_and_batch_order_change_nothing():
    settings = LossSettings()
    (student, mask), (teacher, _) = states(5, 0), states(5, 100)
    base = intermediate_losses(student, teacher, mask, settings, 2)
    (wide_student, wide_mask), (wide_teacher, _) = states(11, 0), states(11, 100)
    wide = intermediate_losses(wide_student, wide_teacher, wide_mask, settings, 2)
    backwards = LENGTHS[::-1]
    (back_student, back_mask), (back_teacher, _) = states(5, 0, backwards), states(5, 100, backwards)
    back = intermediate_losses(back_student, back_teacher, back_mask, settings, 2)
    assert set(base) == {"embedding", "attention", "hidden"}
    for kind, loss in base.items():
        assert loss.shape == (3,)
        assert torch.isfinite(loss).all()
        assert torch.allclose(loss, wide[kind], rtol=1e-6)
        assert torch.equal(loss, back[kind].flip(0))


def test_padding_has_no_gradient():
    for loss, shape in ((attention_loss, (1, 2, 3, 3)), (hidden_loss, (1, 3, 2))):
        student = drawn(*shape).requires_grad_()
        teacher = torch.full(shape, torch.nan, dtype=torch.float64)
        teacher[..., :2, :2] = 0.0
        loss(student, teacher, torch.tensor([[1, 1, 0]])).sum().backward()
        assert torch.isfinite(student.grad).all()
        assert student.grad[0, ..., 2, :].abs().sum() == 0


def test_layer_weights_and_switches():
    (student, mask), (teacher, _) = states(5, 0), states(5, 100)
    plain = intermediate_losses(student, teacher, mask, LossSettings(), 2)
    weighted = intermediate_losses(student, teacher, mask, LossSettings(layer_weights=(2.0, 0.0, 3.0, 1.0)), 2)
    assert torch.allclose(weighted["embedding"], 2 * plain["embedding"])
    last = attention_loss(student.scores[1], teacher.scores[1], mask)
    assert torch.allclose(weighted["attention"], 3 * last)
    assert torch.allclose(weighted["hidden"], 3 * hidden_loss(student.hidden[1], teacher.hidden[1], mask))
    assert torch.allclose(total_loss(plain), plain["embedding"] + plain["attention"] + plain["hidden"])
    for kind in plain:
        left = intermediate_losses(student, teacher, mask, LossSettings(**{kind: False}), 2)
        assert set(left) == set(plain) - {kind}


def test_head_counts():
    (student, mask), (teacher, _) = states(5, 0, heads=3), states(5, 100, heads=2)
    with pytest.raises(DistillError, match="head counts"):
        intermediate_losses(student, teacher, mask, LossSettings(), 2)
    found = intermediate_losses(student, teacher, mask, LossSettings(heads=HeadReduction.MEAN), 2)
    by_hand = attention_loss(student.scores[0].mean(1, True), teacher.scores[0].mean(1, True), mask)
    by_hand = by_hand + attention_loss(student.scores[1].mean(1, True), teacher.scores[1].mean(1, True), mask)
    assert torch.allclose(found["attention"], by_hand)


def test_half_precision_is_widened():
    big = torch.full((1, 1, 2), 300.0, dtype=torch.float16)  # 300² overflows fp16
    assert hidden_loss(big, torch.zeros_like(big), torch.ones(1, 1)).item() == 90000.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding": False, "attention": False, "hidden": False}, "at least one"),
        ({"temperature": 0.0}, "temperature above 0"),
        ({"layer_weights": (1.0, -1.0)}, "0 or more"),
    ],
)
def test_settings_are_checked(changes, message):
    with pytest.raises(DistillError, match=message):
        LossSettings(**changes)


def test_weights_must_fit_the_student():
    with pytest.raises(DistillError, match="expected 4 layer weights"):
        LossSettings(layer_weights=(1.0, 1.0, 1.0)).weights(2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("loss", [attention_loss, hidden_loss])
def test_half_precision_adds_up_in_float32(loss, dtype):
    """Squares of differences of 300 overflow float16, and sums of many lose their digits in bfloat16."""
    shape = (3, 4, 40, 40) if loss is attention_loss else (3, 40, 64)
    student, teacher = 300 * drawn(*shape, seed=1), 300 * drawn(*shape, seed=2)
    mask = torch.tensor([[1] * n + [0] * (40 - n) for n in (40, 17, 3)])
    found, gradients = [], []
    for kind in (dtype, torch.float64):
        mine = student.to(dtype).to(kind).requires_grad_()
        values = loss(mine, teacher.to(dtype).to(kind), mask)
        values.sum().backward()
        found.append(values)
        gradients.append(mine.grad)
    assert (found[0].dtype, gradients[0].dtype) == (torch.float32, dtype)
    assert found[0].tolist() == pytest.approx(found[1].tolist(), rel=2e-3)
    torch.testing.assert_close(gradients[0].double(), gradients[1], rtol=2e-2, atol=1e-3)


def test_half_precision_is_not_copied_into_float32():
    student = drawn(2, 4, 9, 9).to(torch.bfloat16).requires_grad_()
    teacher = drawn(2, 4, 9, 9, seed=1).to(torch.bfloat16)
    made = []

    class Seen(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            found = func(*args, **(kwargs or {}))
            made.extend((one.dtype, one.numel()) for one in ([found] if isinstance(found, torch.Tensor) else found))
            return found

    with Seen():
        attention_loss(student, teacher, torch.tensor([[1] * 9, [1] * 4 + [0] * 5])).sum().backward()
    assert (torch.bfloat16, student.numel()) in made
    assert (torch.float32, student.numel()) not in made


def test_pairs_outside_a_window_are_as_padded_ones():
    student = torch.tensor([[1.0, 2, 90], [4, 5, 6], [90, 8, 9]]).expand(2, 1, 3, 3)
    teacher = torch.zeros(2, 1, 3, 3)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    near = [1, 4, 16, 25, 36, 64, 81]  # squares of the 7 pairs that are at most one apart, and of 4 without the last
    assert attention_loss(student, teacher, mask, 1).tolist() == pytest.approx([sum(near) / 7, sum(near[:4]) / 4])
    assert attention_loss(student, teacher, None, 1).tolist() == pytest.approx([sum(near) / 7] * 2)
    assert torch.equal(attention_loss(student, teacher, mask, 2), attention_loss(student, teacher, mask))
