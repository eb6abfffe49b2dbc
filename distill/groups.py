"""Groups of consecutive batches, on which the teacher runs together: one forward pass over those of about one length.

The teacher learns nothing from step to step, so it may run ahead, in larger batches than the student's: these alone
leave a GPU idle. Groups are cut by the number of a batch in its pool, so that a resumed run makes the same ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from distill.inputs import BUCKET
from distill.shards import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor

    from distill.shards import Position, StreamSettings
    from distill.teacher import Teacher, TeacherTargets, Wanted

T = TypeVar("T")
GROUP_BATCHES = 64  # at most: past them a GPU gains nothing
GROUP_BYTES = 2 << 30  # of the states of a group, were all its examples as long as may be; two groups are there at once
FORWARD_TOKENS = 32_768  # of a forward pass


def group_batches(teacher: Teacher, wanted: Wanted, settings: StreamSettings, number_bytes: int) -> int:
    """How many batches a group has, by the room that their states take.

    Args:
        teacher: the teacher.
        wanted: of its outputs.
        settings: of the stream; no batch decides, so that a resumed run has groups of the same size.
        number_bytes: of a number of the states.
    """
    config, width = teacher.model.config, 0
    if wanted.hidden:
        width += config.hidden_size
    if wanted.scores:
        width += config.num_attention_heads * settings.max_length
    bytes_of_batch = settings.batch_rows * settings.max_length * number_bytes * (len(teacher.layer_map) * width + 1)
    return int(max(1, min(GROUP_BATCHES, GROUP_BYTES // bytes_of_batch)))


def in_groups(items: Iterable[T], size: int, after: Callable[[T], Position]) -> Iterator[list[T]]:
    """Runs of `size` items in their order; none goes over a pool's end.

    Args:
        items: batches, or what is made of them.
        size: of a group.
        after: the position that follows an item.
    """
    group: list[T] = []
    for item in items:
        group.append(item)
        if len(group) == size or after(item).batch == 0:
            yield group
            group = []
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
    arrays = {name: np.concatenate([getattr(batch, name) for batch in wide]) for name in names}
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
