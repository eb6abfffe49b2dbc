"""Masked-LM proposals for many words at once, whatever happens to a single batch."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np

from augment.errors import DeviceLostError, ModelFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from augment.device_copies import DeviceCopies
    from augment.head import Answers
    from augment.layouts import Cut, Cutter
    from augment.masked_copies import MaskedCopies
    from augment.masked_lm import MaskedLM

P = ParamSpec("P")
T = TypeVar("T")
IN_FLIGHT = 2  # batches on their way to the host while the next one is started
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
        split_batches: batches that did not fit into memory and were halved; the model's later ones are no larger.
    """

    def __init__(self, model: MaskedLM, slots: int, k: int, exclude: np.ndarray | None = None) -> None:
        self.ids = np.full((slots, k), -1, dtype=np.int32)
        self.scores = np.zeros((slots, k), dtype=np.float32)
        self.errors: dict[int, str] = {}
        self.split_batches = 0
        self._model, self._k, self._exclude = model, k, exclude

    def run(self, copies: MaskedCopies, batch_tokens: int) -> None:
        """Runs masked copies through the model; some batches are on their way while the next one is started.

        Args:
            copies: the copies.
            batch_tokens: tokens in one pass.

        Raises:
            RuntimeError: a single copy does not fit into memory.
            ModelFailedError: the model fails whatever it is given.
        """
        cutter = copies.cutter(self._model.layout, batch_tokens)
        made = _Made(copies, self._model.on_device(copies, self._exclude), cutter)
        waiting: deque[tuple[Cut, Answers]] = deque()
        for cut in self._that_fit(cutter):
            answers = _attempted(self._start, made, cut)
            if isinstance(answers, _Failure):
                while waiting:  # what they hold of the device's memory may be what is wanting
                    self._take(made, *waiting.popleft())
                self._after(made, cut, answers)
                continue
            waiting.append((cut, answers))
            while len(waiting) > IN_FLIGHT:
                self._take(made, *waiting.popleft())
        while waiting:
            self._take(made, *waiting.popleft())

    def _that_fit(self, cutter: Cutter) -> Iterator[Cut]:
        """Batches, cut up where larger ones than `MaskedLM.fits` did not fit; a failure counts from the next one on."""
        for cut in cutter.cuts():
            tokens, copies = cut.rows * cut.width, cut.stop - cut.start
            pieces = min(-(-tokens // (self._model.fits or tokens)), copies)
            if pieces == 1:
                yield cut
                continue
            bounds = [cut.start + copies * piece // pieces for piece in range(pieces + 1)]
            yield from (cutter.cut(start, stop, fill=False) for start, stop in pairwise(bounds))

    def _start(self, made: _Made, cut: Cut) -> Answers:
        return self._model.start(made.there.batch(cut, made.cutter.layout), self._k)

    def _take(self, made: _Made, cut: Cut, answers: Answers) -> None:
        first, last = made.copies.first_masks[[cut.start, cut.stop]]
        found = _attempted(answers.taken, int(last - first))
        if isinstance(found, _Failure):
            del answers
            self._after(made, cut, found)
            return
        slots = made.copies.slots[first:last]
        self.ids[slots], self.scores[slots] = found

    def _after(self, made: _Made, cut: Cut, failure: _Failure) -> None:
        """A failed batch: halved where memory does not suffice, and down to the copy where one of them is poisoned."""
        if cut.stop - cut.start == 1:
            if failure.of_memory:
                raise failure.error
            self._probe(failure.reason)
            self.errors[int(made.copies.texts[cut.start])] = failure.reason
            return
        if failure.of_memory:
            self.split_batches += 1
            tokens = cut.rows * cut.width // 2
            self._model.fits = min(self._model.fits or tokens, tokens)
        middle = (cut.start + cut.stop) // 2
        for start, stop in ((cut.start, middle), (middle, cut.stop)):
            half = made.cutter.cut(start, stop, fill=False)
            answers = _attempted(self._start, made, half)
            if isinstance(answers, _Failure):
                self._after(made, half, answers)
            else:
                self._take(made, half, answers)

    def _probe(self, reason: str) -> None:
        """Runs [CLS] [MASK] [SEP]: a model or device that fails on that, too, must not be blamed on a text."""
        try:
            self._model.probe()
        except FAILURES as error:
            lost = _is_cuda(error) and not _out_of_memory(error)
            raise (DeviceLostError if lost else ModelFailedError)(
                f"the masked LM fails on [CLS] [MASK] [SEP], too ({_reason(error)}), so no text was blamed for "
                f"{reason!r}; check the model, the device and --precision, and run the same command again"
            ) from error


@dataclass(frozen=True)
class _Made:
    """Copies, the same on the device, and what cuts them into batches."""

    copies: MaskedCopies
    there: DeviceCopies
    cutter: Cutter


@dataclass(frozen=True)
class _Failure:
    """What went wrong with a batch."""

    error: Exception
    reason: str
    of_memory: bool


def _attempted(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T | _Failure:
    """What some work gives, or how it failed; what it held is let go then, so that halves find room."""
    try:
        return work(*given, **named)
    except FAILURES as error:
        return _Failure(error.with_traceback(None), _reason(error), _out_of_memory(error))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error) or 'no reason given').splitlines()[0]}"


def _out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    return "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower()


def _is_cuda(error: Exception) -> bool:
    """CUDA's own errors and those of its libraries, in the words of torch."""
    return isinstance(error, RuntimeError) and any(f"{name} error" in str(error) for name in ("CUDA", "cuDNN"))
