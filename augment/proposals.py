"""Masked-LM proposals for many words at once, whatever happens to a single batch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from augment.masked_copies import batches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from augment.masked_copies import CopyGroup
    from augment.masked_lm import Copies, MaskedLM

FAILURES = (RuntimeError, MemoryError, FloatingPointError, IndexError, ValueError)


class Proposals:
    """The k best words of each of some slots, filled batch by batch.

    Args:
        model: the masked LM.
        slots: number of words that may get proposals.
        k: words for each.
        exclude: int64 (slots,) vocabulary id never proposed for each slot, or None.

    Attributes:
        ids: int32 (slots, k), -1 where nothing was proposed.
        scores: float32 (slots, k).
        errors: text number -> what went wrong with it.
        split_batches: batches that did not fit into memory and were halved.
    """

    def __init__(self, model: MaskedLM, slots: int, k: int, exclude: np.ndarray | None = None) -> None:
        self.ids = np.full((slots, k), -1, dtype=np.int32)
        self.scores = np.zeros((slots, k), dtype=np.float32)
        self.errors: dict[int, str] = {}
        self.split_batches = 0
        self._model, self._k, self._exclude = model, k, exclude

    def run(
        self, groups: Sequence[CopyGroup], batch_tokens: int, progress: Callable[[int], None] | None = None
    ) -> None:
        """Runs masked copies through the model.

        Args:
            groups: the copies.
            batch_tokens: tokens in one pass.
            progress: called with the number of masked words done since the last call.

        Raises:
            RuntimeError: a single copy does not fit into memory.
        """
        for copies, slots, owners in batches(groups, batch_tokens):
            self._batch(copies, slots, owners)
            if progress:
                progress(len(slots))

    def _batch(self, copies: Copies, slots: np.ndarray, owners: np.ndarray) -> None:
        """One batch; halved where memory does not suffice, and down to the copy where one of them is poisoned."""
        exclude = None if self._exclude is None else self._exclude[slots]
        try:
            self.ids[slots], self.scores[slots] = self._model.propose(copies, self._k, exclude)
        except FAILURES as error:
            memory = _out_of_memory(error)
            if len(copies.ids) == 1:
                if memory:
                    raise
                reason = (str(error) or "no reason given").split("\n")[0]
                self.errors[int(owners[0])] = f"{type(error).__name__}: {reason}"
                return
            self.split_batches += memory
            middle = len(copies.ids) // 2
            cut = int((copies.positions[:middle] >= 0).sum())
            self._batch(_rows(copies, slice(None, middle)), slots[:cut], owners[:cut])
            self._batch(_rows(copies, slice(middle, None)), slots[cut:], owners[cut:])


def _rows(copies: Copies, rows: slice) -> Copies:
    return replace(
        copies,
        ids=copies.ids[rows],
        lengths=copies.lengths[rows],
        first_segment=copies.first_segment[rows],
        positions=copies.positions[rows],
    )


def _out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    return "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower()
