"""A packed teacher says the same as before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from augment.packed_linear import PackedLinear, linear_kernel
from distill.shards import Batch, Position
from distill.teacher import Precision, Teacher, Wanted
from pipelines.models.load import pack_teacher
from tests.distill.models import FAMILIES, tiny_encoder


def batch() -> Batch:
    mask = np.ones((3, 7), dtype=np.int64)
    mask[1, 4:] = 0
    ids = np.random.default_rng(0).integers(5, 60, (3, 7)) * mask
    rows = np.arange(3)
    return Batch(ids, np.zeros_like(ids), mask, np.zeros(3, dtype=np.int64), rows, None, Position())


@pytest.mark.skipif(linear_kernel("cpu", "fp32") == "torch", reason="this build of torch cannot pack")
@pytest.mark.parametrize("family", FAMILIES)
def test_same_targets_and_fingerprint(family):
    plain, packed = (Teacher(tiny_encoder(family), (2, 4)) for _ in range(2))
    before = packed.note_fingerprint()
    assert pack_teacher(packed)
    assert any(isinstance(module, PackedLinear) for module in packed.model.modules())
    assert packed.note_fingerprint() == before == plain.note_fingerprint()
    wanted = Wanted(logits=True, hidden=True, scores=True, embedding=True)
    mine, theirs = packed.targets(batch(), wanted), plain.targets(batch(), wanted)
    own = torch.from_numpy(batch().mask).bool()
    torch.testing.assert_close(mine.logits, theirs.logits, atol=1e-5, rtol=1e-4)
    for one, other in zip((*mine.hidden, mine.embedding), (*theirs.hidden, theirs.embedding), strict=True):
        torch.testing.assert_close(one[own], other[own], atol=1e-5, rtol=1e-4)
    pairs = (own[:, :, None] & own[:, None, :])[:, None]
    for one, other in zip(mine.scores, theirs.scores, strict=True):
        torch.testing.assert_close(one * pairs, other * pairs, atol=1e-5, rtol=1e-4)


def test_other_precisions_are_left_alone():
    teacher = Teacher(tiny_encoder(), (2,), Precision.BF16)
    assert not pack_teacher(teacher)
    assert not any(isinstance(module, PackedLinear) for module in teacher.model.modules())
