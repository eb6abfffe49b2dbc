"""Steps as CUDA graphs: recorded once for each shape of a batch, then replayed by one call in place of hundreds.

A small student's step has some hundreds of kernels of a few microseconds; launching each takes longer. What a graph
reads lies where it was when it was recorded, so batches are copied there. Dropout is drawn anew by a replay, from the
seed that torch has at that time.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from distill.config_checks import reason
from distill.errors import DistillError
from distill.step import flat_targets, laid_out, targets_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from contextlib import AbstractContextManager

    from torch import Tensor

    from distill.feed import Part
    from distill.inputs import BatchTensors
    from distill.step import StudentStep
    from distill.teacher import TeacherTargets

ORDINARY_STEPS = 2  # of each shape before it is recorded: they make the optimiser's moments and warm up libraries
MOST_GRAPHS = 128
ATTEMPTS = 3  # to record; what breaks a recording off may have been another thread's
TARGETS_BYTES = 2 << 30  # of the teacher's outputs that graphs read; wider batches go the ordinary way
log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Records a function of tensors that stay where they are."""

    def record(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Records without computing; what comes back computes, and returns the function's result."""

    def ordinary(self) -> AbstractContextManager[None]:
        """Runs inside what is not recorded, where it does not disturb what will be."""


class CudaRecorder:
    """Records CUDA graphs, which share their memory: no two of them run at once."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        # Of its own, for torch's may be another card's. A graph keeps the priority of its stream: small kernels of the
        # student must not queue behind the large ones of a teacher that runs ahead.
        self._stream = torch.cuda.Stream(priority=-1)

    def record(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Captures the kernels that the function launches."""
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            # Thread-local: the feed's thread pins memory meanwhile.
            with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                result = function()
        except BaseException:
            self._leave(current)
            raise

        def replay() -> Tensor:
            graph.replay()
            return result.clone()  # the next replay writes it again

        return replay

    @contextmanager
    def ordinary(self) -> Iterator[None]:
        """Runs on the stream that records, after and before what the current one does.

        Autograd's nodes that add up gradients keep the stream on which they were made. A thread of autograd's may hold
        some of the last step's while the next one is recorded, and those of another stream would break that off.
        """
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:  # kernels that were launched before an error read what the current stream may free
            current.wait_stream(self._stream)

    def _leave(self, current: torch.cuda.Stream) -> None:
        """Puts back what torch leaves as it was within a capture that CUDA has broken off.

        That is its stream, its memory pool (without which no memory can be freed), and the random numbers, of which
        none could be drawn any more. Pinned memory goes on recording to that pool, which is therefore left for good.
        """
        torch.cuda.set_stream(current)
        with suppress(RuntimeError):  # ended already, where an error of Python's own ended the capture
            torch._C._cuda_endAllocateToPool(current.device.index, self._pool)
        self._pool = torch.cuda.graph_pool_handle()
        random = torch.cuda.default_generators[current.device.index]
        random.graphsafe_set_state(random.clone_state())


def make_recorder(device: torch.device) -> Recorder:
    """The recorder of a run.

    Args:
        device: that it trains on.

    Raises:
        DistillError: that is no GPU.
    """
    if device.type != "cuda":
        raise DistillError(
            f"expected a GPU, on which steps run as graphs; found the device {device}. Leave `graphs` out."
        )
    return CudaRecorder()


@dataclass(frozen=True)
class _Recorded:
    """A recorded step and the tensors that it reads."""

    packed: Tensor
    given: TeacherTargets
    replay: Callable[[], Tensor]


class GraphSteps:
    """Runs steps as graphs where it can.

    Args:
        step: the step.
        recorder: of graphs; None runs none.
        rows: of a full batch; shorter ones are too rare to be recorded.
        longest: width of a batch at most, in tokens; None where all are of one width.
    """

    def __init__(self, step: StudentStep, recorder: Recorder | None, rows: int, longest: int | None = None) -> None:
        self._step, self._recorder, self._rows, self._longest = step, recorder, rows, longest
        self._memory: Tensor | None = None  # of the teacher's outputs; one for all graphs, of which one runs at a time
        self._graphs: dict[Hashable, _Recorded] = {}
        self._seen: Counter[Hashable] = Counter()
        self._failed = 0

    @property
    def used(self) -> bool:
        """Whether steps run as graphs."""
        return self._recorder is not None

    def ordinary(self) -> AbstractContextManager[None]:
        """Runs inside the steps for which `run` has none."""
        return nullcontext() if self._recorder is None else self._recorder.ordinary()

    def run(self, part: Part, given: TeacherTargets) -> Tensor | None:
        """The step of a batch in one part; None where it has to go the ordinary way.

        Args:
            part: the whole batch.
            given: the teacher's outputs.

        Returns:
            The losses and the norm, as `StudentStep` gives them; torch's seed was that of the step.
        """
        if self._recorder is None or len(part.batch) != self._rows:
            return None
        states = flat_targets(given)
        key = (part.packed.layout, tuple((state.shape, state.dtype) for state in states))
        graph = self._graphs.get(key)
        if graph is None:
            self._seen[key] += 1
            if self._seen[key] <= ORDINARY_STEPS or len(self._graphs) == MOST_GRAPHS:
                return None
            graph = self._record(self._recorder, part, given)
            if graph is None:
                return None
            self._graphs[key] = graph
        graph.packed.copy_(part.packed.array, non_blocking=True)
        if states:
            torch._foreach_copy_(flat_targets(graph.given), states, non_blocking=True)
        return graph.replay()

    def _record(self, recorder: Recorder, part: Part, given: TeacherTargets) -> _Recorded | None:
        step, layout, share = self._step, part.packed.layout, 1.0 / self._rows
        try:
            memory = self._targets_memory(given, layout.width)
            if targets_bytes(given, layout.width, layout.width) > len(memory):
                return None
            packed, static = part.packed.array.to(memory.device, copy=True), laid_out(given, memory)
            if step.compiled:
                self._make_kernels(recorder, layout.split(packed), static, share)
            replay = recorder.record(lambda: step(layout.split(packed), static, share))
        except Exception as error:
            step.optimiser.zero_grad(set_to_none=True)
            self._failed += 1
            self._seen.clear()
            if self._failed == ATTEMPTS:
                text = "training goes on without CUDA graphs, more slowly: a step could not be recorded (%s)"
                log.warning(text, reason(error))
                self._recorder, self._graphs, self._memory = None, {}, None
            return None
        return _Recorded(packed, static, replay)

    def _make_kernels(self, recorder: Recorder, tensors: BatchTensors, given: TeacherTargets, share: float) -> None:
        """Has kernels compiled; where that fails, those of before are recorded."""
        step = self._step
        try:
            with recorder.ordinary():
                step.make_kernels(tensors, given, share)
        except Exception as error:
            step.compiled = False
            step.optimiser.zero_grad(set_to_none=True)
            text = "training goes on without torch.compile, more slowly: it could not make the kernels of a step (%s)"
            log.warning(text, reason(error))

    def _targets_memory(self, given: TeacherTargets, width: int) -> Tensor:
        """Room for the outputs of the widest batch (bytes,); it stays, for recorded graphs read it."""
        if self._memory is None:
            size = min(TARGETS_BYTES, targets_bytes(given, width, self._longest or width))
            self._memory = torch.empty(size, dtype=torch.uint8, device=self._step.stage.model.device)
        return self._memory
