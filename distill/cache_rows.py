"""The rows of a batch in a teacher cache: read as padded arrays, and packed from what the teacher gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.cache_format import pack, unpack
from distill.errors import DistillError
from distill.teacher import check_finite_logits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from distill.cache_format import CacheKey
    from distill.shards import Batch
    from distill.teacher import TeacherTargets, Wanted
    from distill.teacher_cache import TeacherCache

STATES = ("scores", "hidden", "cls")  # of the mapped layers, as Wanted, TeacherTargets and caches name them


def cached_arrays(cache: TeacherCache, batch: Batch, wanted: Wanted) -> dict[str, NDArray[np.generic]]:
    """Logits (B, C) and, as kept and wanted, the states of layers (L, B, …), zero where padded, in the cache's dtype.

    Args:
        cache: can read every row of the batch.
        batch: examples.
        wanted: the targets.

    Raises:
        DistillError: a row has another number of tokens than the cache knows.
    """
    if not cache.key.kept.of_layers:
        tokens, logits = cache.read_logits(batch.shard, batch.row)
        _check_tokens(batch, tokens)
        return {"logits": logits}
    return padded(cache.key, batch, records(cache, batch, {}, keep=False), wanted)


def records(
    cache: TeacherCache, batch: Batch, new: Mapping[int, NDArray[np.generic]], keep: bool
) -> list[NDArray[np.generic]]:
    """The record of every example of the batch; with `keep`, `new` ones, by their places, are appended to the cache.

    Raises:
        DistillError: as for `cached_arrays`.
    """
    found, tokens = [], []
    for i, (shard, row) in enumerate(zip(batch.shard.tolist(), batch.row.tolist(), strict=True)):
        if i in new:
            stored, record = batch.lengths[i], new[i]
            if keep:
                cache.append(shard, row, stored, record)
        else:
            stored, record = cache.read(shard, row)
        tokens.append(stored)
        found.append(record)
    _check_tokens(batch, tokens)
    return found


def _check_tokens(batch: Batch, stored: Sequence[int] | NDArray[np.int32]) -> None:
    lengths = batch.mask.sum(-1)
    if (lengths != stored).any():
        place = int(np.argmax(lengths != stored))
        raise DistillError(
            f"expected {lengths[place]} tokens in the cache for shard {batch.shard[place]}, row {batch.row[place]}; "
            f"found {stored[place]}. The tokenizer changed under the cache: rebuild it."
        )


def padded(
    key: CacheKey, batch: Batch, found: Sequence[NDArray[np.generic]], wanted: Wanted
) -> dict[str, NDArray[np.generic]]:
    """The records of a batch as arrays; see `cached_arrays`."""
    size, width = batch.ids.shape
    logits = np.zeros((size, key.classes), key.dtype)
    states = {
        name: np.zeros((shape[0], size, *shape[1:]), key.dtype)
        for name, shape in key.shapes(width).items()
        if name in STATES and getattr(wanted, name)
    }
    for i, (tokens, record) in enumerate(zip(batch.lengths, found, strict=True)):
        parts = unpack(key, tokens, record)
        logits[i] = parts["logits"]
        for name, array in states.items():
            array[:, i][tuple(map(slice, parts[name].shape))] = parts[name]
    return {"logits": logits, **states}


def packed(
    key: CacheKey, batch: Batch, places: Sequence[int], computed: TeacherTargets, layer_map: Sequence[int]
) -> dict[int, NDArray[np.generic]]:
    """The records of some examples of a batch, by their places in it.

    Args:
        key: of the cache.
        batch: examples.
        places: of them, those that are packed.
        computed: the teacher's outputs; what is kept of the layers is rounded where they are.
        layer_map: of the teacher.

    Raises:
        DistillError: logits that are not finite, or numbers that the cache's dtype does not hold.
    """
    if not places:
        return {}
    logits = torch.zeros(len(batch), 0) if computed.logits is None else computed.logits
    arrays = {"logits": logits.float().cpu().numpy()}
    check_finite_logits(arrays["logits"], batch)
    first = [layer_map.index(layer) for layer in key.layers]
    for name in STATES:
        if getattr(key.kept, name):
            stacked = torch.stack([getattr(computed, name)[place] for place in first], 1)  # (B, L, …)
            arrays[name] = stacked.to(getattr(torch, key.dtype)).cpu().numpy()
    found = {}
    for i in places:
        found[i] = pack(key, batch.lengths[i], {name: array[i] for name, array in arrays.items()})
        if not np.isfinite(found[i]).all():
            raise DistillError(
                f"expected teacher outputs that fit {key.dtype}; found NaN or more than it holds for shard "
                f"{batch.shard[i]}, row {batch.row[i]}. Check the teacher, or use a float32 cache."
            )
    return found
