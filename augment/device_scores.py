"""Cosines of a block of words with a whole vocabulary on a GPU, in place of `glove.selection`'s on the processor.

They only choose survivors, which `glove.neighbours` scores again in double precision: neighbours and scores are bit
for bit those found without a GPU.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import OutOfMemoryError, Tensor

from augment.precision import MULTIPLYING, multiply_in

__all__ = ["DeviceScores", "OutOfMemoryError", "VectorsOnDevice", "full_precision"]

if TYPE_CHECKING:
    from collections.abc import Iterator


class DeviceScores:
    """All scores of a block of words.

    Args:
        unit: float32 (V, d) unit rows on the device.
        rows: int64 (B,) the block's rows.
    """

    def __init__(self, unit: Tensor, rows: np.ndarray) -> None:
        own = torch.from_numpy(rows).to(unit.device)
        self._scores = unit[own] @ unit.T  # (B, V)
        self._scores[torch.arange(len(rows), device=unit.device), own] = -torch.inf
        self.most = len(unit) - 1

    def survivors(self, which: np.ndarray, keep: int) -> tuple[np.ndarray, np.ndarray]:
        """As `glove.selection.Scores` has it."""
        # Most often all of them are asked for, and need not be copied.
        scores = self._scores if len(which) == len(self._scores) else self._scores[torch.from_numpy(which)]
        best, words = torch.topk(scores, keep, dim=1)
        return words.cpu().numpy(), best[:, -1].cpu().numpy().astype(np.float64)


class VectorsOnDevice:
    """Unit rows copied to a device; called with rows of a block it gives their scores.

    Args:
        unit: float32 (V, d) unit rows.
        device: where to multiply.

    Raises:
        OutOfMemoryError: they do not fit.
    """

    def __init__(self, unit: np.ndarray, device: torch.device | str) -> None:
        self._unit = torch.tensor(unit, device=device)

    def __call__(self, unit: np.ndarray, rows: np.ndarray) -> DeviceScores:
        """The scores of a block of rows, (B,); `unit` are the rows that were copied."""
        assert len(unit) == len(self._unit)
        return DeviceScores(self._unit, rows)


@contextmanager
def full_precision() -> Iterator[None]:
    """Products of float32 without TF32, whose error would be larger than survivors allow for."""
    with MULTIPLYING:
        before = torch.get_float32_matmul_precision()
        multiply_in("highest")
        try:
            yield
        finally:
            multiply_in(before)
