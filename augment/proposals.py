"""Masked-LM proposals for many words at once, whatever happens to a single batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from augment.errors import DeviceLostError, ModelFailedError
from augment.masked_lm import Copies

if TYPE_CHECKING:
    from augment.masked_copies import MaskedCopies
    from augment.masked_lm import MaskedLM

FAILURES = (RuntimeError, MemoryError, FloatingPointError, IndexError, ValueError)


class Proposals:
    """The k best words of each of some slots, filled batch by batch.

    Args:
        model: the masked LM.
        slots: number of words that may get proposals.
        k: words for each.
        exclude: int64 (slots, E) vocabulary ids never proposed for each slot, -1 where there are fewer, or None.

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

    def run(self, copies: MaskedCopies, batch_tokens: int) -> None:
        """Runs masked copies through the model.

        Args:
            copies: the copies.
            batch_tokens: tokens in one pass.

        Raises:
            RuntimeError: a single copy does not fit into memory.
            ModelFailedError: the model fails whatever it is given.
        """
        for start, stop in copies.batches(batch_tokens):
            self._batch(copies, start, stop)

    def _batch(self, every: MaskedCopies, start: int, stop: int) -> None:
        """One batch; halved where memory does not suffice, and down to the copy where one of them is poisoned."""
        copies, slots, owners = every.made(start, stop)
        exclude = None if self._exclude is None else self._exclude[slots]
        try:
            self.ids[slots], self.scores[slots] = self._model.propose(copies, self._k, exclude)
            return
        except FAILURES as error:
            memory, reason = _out_of_memory(error), _reason(error)
            if memory and stop - start == 1:
                raise
        # Not inside `except`: there the traceback keeps the failed batch's tensors, and its halves find no room.
        if stop - start == 1:
            self._probe(reason)
            self.errors[int(owners[0])] = reason
            return
        self.split_batches += memory
        middle = (start + stop) // 2
        self._batch(every, start, middle)
        self._batch(every, middle, stop)

    def _probe(self, reason: str) -> None:
        """Runs [CLS] [MASK] [SEP]: a model or device that fails on that, too, must not be blamed on a text."""
        model = self._model
        ids = np.array([[model.cls_id, model.mask_id, model.sep_id]], dtype=np.int64)
        three = np.array([3], dtype=np.int64)
        try:
            model.propose(Copies(ids, three, three, np.array([[1]], dtype=np.int64)), 1)
        except FAILURES as error:
            lost = _is_cuda(error) and not _out_of_memory(error)
            raise (DeviceLostError if lost else ModelFailedError)(
                f"the masked LM fails on [CLS] [MASK] [SEP], too ({_reason(error)}), so no text was blamed for "
                f"{reason!r}; check the model, the device and --precision, and run the same command again"
            ) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error) or 'no reason given').splitlines()[0]}"


def _out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    return "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower()


def _is_cuda(error: Exception) -> bool:
    """CUDA's own errors and those of its libraries, in the words of torch."""
    return isinstance(error, RuntimeError) and any(f"{name} error" in str(error) for name in ("CUDA", "cuDNN"))
