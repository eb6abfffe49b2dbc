"""Groups of consecutive batches, on which the teacher runs together: one forward pass over those of about one length.

The teacher learns nothing from step to step, so it may run ahead, in larger batches than the student's: these alone
leave a GPU idle. Groups are cut from the beginning of a pool on, so that a resumed run makes the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from distill.inputs import BUCKET
from distill.shards import Batch
from distill.task_heads import has_span_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor

    from distill.teacher import Teacher, TeacherTargets, Wanted

T = TypeVar("T")
GROUP_BATCHES = 256  # at most: a forward pass costs the host milliseconds, which so many steps share
GROUP_BYTES = 2 << 30  # of the states of a group; two groups are there at once
SPAN_BYTES = 2 * 4  # of a token's start and end logits
FORWARD_TOKENS = 32_768  # of a forward pass


@dataclass(frozen=True)
class GroupLimits:
    """What a group may hold.

    Args:
        batches: at most.
        token_bytes: of the states of a token, padding included.
        pair_bytes: of the scores of two tokens.
    """

    batches: int = 1
    token_bytes: int = 0
    pair_bytes: int = 0

    def bytes_of(self, batch: Batch) -> int:
        """The room that the states of a batch take."""
        rows, width = batch.ids.shape
        width += -width % BUCKET
        return int(rows * width * (self.token_bytes + self.pair_bytes * width))


ONE = GroupLimits()  # a teacher that runs when the step of its batch comes


def group_limits(teacher: Teacher, wanted: Wanted, number_bytes: int, batches: int = GROUP_BATCHES) -> GroupLimits:
    """The limits by the states that a teacher gives.

    Args:
        teacher: the teacher.
        wanted: of its outputs.
        number_bytes: of a number of the states.
        batches: of a group at most.
    """
    config, of_layers = teacher.model.config, len(teacher.layer_map) * number_bytes
    hidden = of_layers * config.hidden_size if wanted.hidden else 0  # of some families neither is known
    scores = of_layers * config.num_attention_heads if wanted.scores else 0
    return GroupLimits(batches, hidden + SPAN_BYTES * (wanted.logits and has_span_head(teacher.model)), scores)


def in_groups(items: Iterable[T], limits: GroupLimits, batch_of: Callable[[T], Batch]) -> Iterator[list[T]]:
    """Runs of items in their order, as long as the limits allow; none goes over a pool's end.

    Args:
        items: batches, from the beginning of a pool on, or what is made of them.
        limits: of a group; a single batch may exceed the room.
        batch_of: the batch of an item.
    """
    group: list[T] = []
    room = 0
    for item in items:
        batch = batch_of(item)
        needed = limits.bytes_of(batch)
        if group and room + needed > GROUP_BYTES:
            yield group
            group, room = [], 0
        group.append(item)
        room += needed
        if len(group) == limits.batches or batch.after.batch == 0:
            yield group
            group, room = [], 0
    if group:
        yield group


def forward_passes(batches: Sequence[Batch]) -> list[list[int]]:
    """The places of batches that run together: those whose widths are equal when rounded up to a multiple of 8."""
    passes: list[list[int]] = []
    tokens, bucket = 0, 0
    for place in sorted(range(len(batches)), key=lambda number: batches[number].ids.shape[1]):
        rows, width = batches[place].ids.shape
        rounded = -(-width // BUCKET)
        tokens += rows * width
        if not passes or rounded != bucket or tokens > FORWARD_TOKENS:
            passes.append([])
            tokens, bucket = rows * width, rounded
        passes[-1].append(place)
    return passes


def joined(batches: Sequence[Batch], pad_id: int) -> Batch:
    """Several batches as one, as wide as the widest; it has no labels and stands nowhere in the data.

    Args:
        batches: one or more.
        pad_id: id at padded positions.
    """
    if len(batches) == 1:
        return batches[0]
    width = max(batch.ids.shape[1] for batch in batches)
    wide = [replace(batch, labels=None).widened(width, pad_id) for batch in batches]
    names = ("ids", "types", "mask", "shard", "row")
    arrays: dict[str, Any] = {name: np.concatenate([getattr(batch, name) for batch in wide]) for name in names}
    return Batch(**arrays, labels=None, after=batches[-1].after)


def cut(found: TeacherTargets, batches: Sequence[Batch]) -> list[TeacherTargets]:
    """The targets of each of the batches that were joined, as views."""
    if len(batches) == 1:
        return [found]
    parts, start = [], 0
    for batch in batches:
        rows, width = batch.ids.shape
        own = slice(start, start + rows)
        parts.append(
            replace(
                found,
                logits=None if found.logits is None else _own_logits(found.logits[own], width),
                hidden=tuple(states[own, :width] for states in found.hidden),
                scores=tuple(scores[own, :, :width, :width] for scores in found.scores),
                embedding=None if found.embedding is None else found.embedding[own, :width],
                cls=tuple(states[own] for states in found.cls),
            )
        )
        start += rows
    return parts


def _own_logits(logits: Tensor, width: int) -> Tensor:
    """Logits (B, C) as they are; those of spans (B, T, 2) as wide as the batch."""
    return logits[:, :width] if logits.ndim == 3 else logits
