"""What a step learns from: batches that a thread packs ahead, with the targets of a teacher that runs ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch

from distill.groups import ONE, GroupLimits, in_groups
from distill.inputs import bucket_width, pack_batch
from distill.teacher import TeacherTargets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distill.inputs import PackedBatch
    from distill.shards import Batch, Position, ShardStream
    from distill.targets import Stored, Targets
    from distill.teacher import Wanted

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """A part of a batch, which one forward pass takes.

    Attributes:
        batch: its examples.
        packed: its tensors, on the host.
        counts: false for a row that only keeps a rank in step with the others.
        stored: what a teacher cache has of them; None where it lacks some.
    """

    batch: Batch
    packed: PackedBatch
    counts: bool
    stored: Stored | None = None


@dataclass(frozen=True)
class Lesson:
    """A batch with what the student needs to learn from it.

    Attributes:
        batch: the whole batch.
        parts: this process's parts of it.
        given: the teacher's outputs for each part.
    """

    batch: Batch
    parts: tuple[Part, ...]
    given: tuple[TeacherTargets, ...] = ()


@dataclass(frozen=True)
class Feed:
    """The lessons of an epoch.

    Attributes:
        stream: the data.
        targets: the teacher's outputs; None without a teacher.
        wanted: which of them.
        device: of student and teacher.
        parts: this process's parts of a batch, of how many (the numbers of `Batch.part`).
        group: batches on which the teacher runs together; of one batch it runs when that batch's step comes.
        buckets: as a GPU wants them: widths are multiples of 8, and every batch has a mask, so that few shapes come up;
            a thread packs them ahead.
    """

    stream: ShardStream
    targets: Targets | None
    wanted: Wanted
    device: torch.device
    parts: tuple[range, int] = (range(1), 1)
    group: GroupLimits = ONE
    buckets: bool = False

    def lessons(self, start: Position) -> Generator[Lesson]:
        """The lessons of epoch `start.epoch` from `start` on.

        Raises:
            DistillError: data that cannot be read, or a teacher whose numbers do not fit a cache.
        """
        passed = start.batch if self.group.batches > 1 else 0  # trained before; groups are cut from the pool's first
        coming = (self._packed(batch) for batch in self.stream.batches(replace(start, batch=start.batch - passed)))
        if self.buckets:
            coming = ahead(coming, self.group.batches + 2)
        with closing(coming), closing(self._taught(coming, passed)) as taught:
            for number, lesson in enumerate(taught):
                if number >= passed:
                    yield lesson

    def _packed(self, batch: Batch) -> Lesson:
        numbers, count = self.parts
        parts = []
        for number in numbers:
            # DDP needs every rank in every step: one whose part is empty runs a row that counts for nothing.
            part = batch.part(number, count) if count > 1 else batch
            counts = len(part) > 0
            part = part if counts else batch.part(0, len(batch))
            if self.buckets:
                part = bucket_width(part, self.stream.settings.max_length, self.stream.pad_id)
            stored = None if self.targets is None else self.targets.stored(part, self.wanted)
            parts.append(Part(part, pack_batch(part, self.device, self.buckets), counts, stored))
        return Lesson(batch, tuple(parts))

    def _taught(self, lessons: Iterator[Lesson], passed: int) -> Generator[Lesson]:
        if self.targets is None:
            yield from (replace(one, given=(TeacherTargets(),) * len(one.parts)) for one in lessons)
        elif self.group.batches == 1:
            for one in lessons:
                given = [self.targets(part.batch, self.wanted, part.counts, part.stored) for part in one.parts]
                yield replace(one, given=tuple(given))
        else:
            yield from self._taught_ahead(self.targets, lessons, passed)

    def _taught_ahead(self, targets: Targets, lessons: Iterator[Lesson], passed: int) -> Generator[Lesson]:
        """While the student learns from a group, the teacher runs on the next one; none on groups that are passed."""
        side = SideStream(self.device)
        waiting: list[Lesson] = []
        ready: Callable[[], None] = side.mark()
        for group in in_groups(lessons, self.group, lambda one: one.batch):
            passed -= len(group)
            if passed >= 0:
                yield from group
                continue
            parts = [part for one in group for part in one.parts]
            with side.running():
                batches, counts = [p.batch for p in parts], [p.counts for p in parts]
                found = iter(targets.of_group(batches, self.wanted, counts, [p.stored for p in parts]))
                launched = side.mark()
            ready()
            yield from waiting
            waiting = [replace(one, given=tuple(next(found) for _ in one.parts)) for one in group]
            ready = launched
        ready()
        yield from waiting


class SideStream:
    """A CUDA stream beside the current one; on a CPU, where there are none, all runs in turn.

    Args:
        device: of the stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs what is launched inside beside the current stream, but after what that was given before.

        So memory that the current stream read, and that was freed since, may be written here.
        """
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream())
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            yield

    def mark(self) -> Callable[[], None]:
        """Lets the current stream, when called, wait for all that was launched here until now; the host goes on."""
        if self._stream is None:
            return lambda: None
        event = self._stream.record_event()
        return lambda: torch.cuda.current_stream().wait_event(event)


def ahead(items: Iterator[T], depth: int) -> Generator[T]:
    """Draws items in a thread of their own, at most `depth` of them before they are asked for.

    Args:
        items: drawn in their order; what they raise comes here in its turn.
        depth: how many wait.
    """
    drawn: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue()
    room, over = threading.Semaphore(depth), threading.Event()

    def draw() -> None:
        try:
            for item in items:
                drawn.put((item, None, False))
                room.acquire()
                if over.is_set():
                    break
            drawn.put((None, None, True))
        except BaseException as error:
            drawn.put((None, error, True))

    thread = threading.Thread(target=draw, name="feed", daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = drawn.get()
            if error is not None:
                raise error
            if last:
                return
            room.release()
            yield item  # type: ignore[misc]
    finally:
        over.set()
        room.release()
        thread.join()
        if isinstance(items, Generator):
            items.close()
