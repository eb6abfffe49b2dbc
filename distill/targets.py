"""Teacher targets for a batch: from the cache where it has them, from the teacher otherwise.

With a cache every value takes the round trip through its dtype, in the first epoch too, so that cold, warm and
resumed runs see the same numbers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.cache_format import CacheContent, CacheKey
from distill.cache_rows import STATES, cached_arrays, packed, padded, records
from distill.errors import DistillError, StoppedError
from distill.groups import GROUP_BATCHES, ONE, GroupLimits, group_limits, in_groups
from distill.inputs import pinned
from distill.reading import read_rows
from distill.shards import Position
from distill.teacher import Teacher, TeacherTargets, Wanted
from distill.tokens import tokenizer_fingerprint, truncating

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from distill.shards import Batch, ShardStream
    from distill.teacher_cache import TeacherCache

Stored = dict[str, torch.Tensor]  # logits and states of a batch, in the cache's dtype; pinned for a GPU
FLUSH_SECONDS = 30.0  # of filling a cache that a kill can cost


def cache_key(teacher: Teacher, stream: ShardStream, content: str, dtype: str = "float16") -> CacheKey:
    """The key of a cache of this teacher's outputs on this data.

    Args:
        teacher: the teacher; its layer map counts where anything of the layers is kept.
        stream: the data.
        content: a CacheContent, or the CacheMode full or logits.
        dtype: float16 or float32.
    """
    config, masking, kept = teacher.model.config, stream.settings.masking, CacheContent(content)
    fingerprint = tokenizer_fingerprint((stream.other or stream).tokenizer_json)
    return CacheKey(
        teacher=teacher.note_fingerprint(),
        tokenizer=f"{fingerprint}, {masking}, seed {stream.settings.seed}" if masking else fingerprint,
        layers=tuple(sorted(set(teacher.layer_map))) if kept.of_layers else (),
        texts=stream.columns.texts,
        precision=f"{teacher.precision} weights" if teacher.in_half else str(teacher.precision),
        dtype=dtype,
        max_length=stream.settings.max_length,
        content=str(kept),
        classes=int(config.num_labels or 1) if teacher.predicts else 0,
        heads=config.num_attention_heads if kept.scores else 0,
        width=config.hidden_size if kept.hidden or kept.cls else 0,
    )


def kept_outputs(key: CacheKey) -> Wanted:
    """The outputs of the teacher that the records of a cache are made of."""
    kept = key.kept
    return Wanted(bool(key.classes), kept.hidden, kept.scores, cls=kept.cls)


class Targets:
    """The source of a stage's targets.

    Args:
        teacher: the teacher, which runs on rows that the cache lacks.
        cache: records of its outputs, or None.

    Raises:
        DistillError: a cache of layers beside a teacher of which no layers are mapped.
    """

    def __init__(self, teacher: Teacher, cache: TeacherCache | None = None) -> None:
        if cache is not None and cache.key.kept.of_layers and not cache.key.layers:
            raise DistillError(
                f"expected teacher layers to keep in a {cache.key.content} cache; found none mapped. Keep logits, or "
                "map layers."
            )
        self.teacher = teacher
        self.cache = cache

    def stored(self, batch: Batch, wanted: Wanted) -> Stored | None:
        """What the cache has of a batch, on the host; None where there is no cache or it lacks a row.

        May be called by any thread, and its result be given to `__call__` or `of_group`, which read nothing then.

        Raises:
            DistillError: the tokenizer changed under the cache.
        """
        batch = batch.taught
        if self.cache is None or len(self._missing(batch)):
            return None
        device = self.teacher.model.device
        arrays = cached_arrays(self.cache, batch, wanted)
        return {name: pinned(torch.from_numpy(array), device) for name, array in arrays.items()}

    def __call__(self, batch: Batch, wanted: Wanted, keep: bool = True, stored: Stored | None = None) -> TeacherTargets:
        """The targets of a batch; rows that the cache lacks are appended to it.

        Args:
            batch: examples.
            wanted: the targets.
            keep: false leaves the cache as it is, for rows that are another rank's to write.
            stored: what `stored` gave for the batch.

        Raises:
            DistillError: numbers of the teacher that are not finite or do not fit the cache's dtype; without a cache
                they are judged later, by `check_finite_logits`.
        """
        batch = batch.taught
        asked = self._asked(batch, wanted)
        computed = self.teacher.targets(batch, asked) if asked != Wanted() else TeacherTargets()
        return self._given(batch, wanted, computed, keep, stored)

    def of_group(
        self,
        batches: Sequence[Batch],
        wanted: Wanted,
        keep: Sequence[bool],
        stored: Sequence[Stored | None] | None = None,
    ) -> list[TeacherTargets]:
        """The targets of several batches, for which the teacher runs on batches of about one length together.

        Args:
            batches: examples.
            wanted: the targets.
            keep: for each batch, as for a single one.
            stored: for each batch, as for a single one.

        Raises:
            DistillError: as for a single one.
        """
        batches = [batch.taught for batch in batches]
        by_asked: dict[Wanted, list[int]] = defaultdict(list)
        for place, batch in enumerate(batches):
            by_asked[self._asked(batch, wanted)].append(place)
        computed = [TeacherTargets()] * len(batches)
        for asked, places in by_asked.items():
            if asked != Wanted():
                found = self.teacher.targets_of_group([batches[place] for place in places], asked)
                for place, one in zip(places, found, strict=True):
                    computed[place] = one
        there: Sequence[Stored | None] = stored or [None] * len(batches)
        return [
            self._given(batch, wanted, computed[place], keep[place], there[place])
            for place, batch in enumerate(batches)
        ]

    def group_limits(self, wanted: Wanted, batches: int = GROUP_BATCHES) -> GroupLimits:
        """What a group may hold: beside a cache the teacher gives what is kept, too, and numbers are float32.

        Args:
            wanted: the targets.
            batches: of a group at most.
        """
        kept = kept_outputs(self.cache.key) if self.cache else Wanted()
        half = self.teacher.in_half and self.cache is None
        return group_limits(self.teacher, wanted | kept, 2 if half else 4, batches)

    def _missing(self, batch: Batch) -> list[int]:
        """Places of the examples that the cache lacks."""
        return [] if self.cache is None else np.flatnonzero(~self.cache.readable[batch.shard]).tolist()

    def _asked(self, batch: Batch, wanted: Wanted) -> Wanted:
        """What the teacher has to compute for a batch."""
        if self.cache is None:
            return wanted
        kept = self.cache.key.kept
        hidden = wanted.hidden and not kept.hidden
        # Beside kept scores hidden states come from the same kernels warm as cold: those that return scores.
        scores = hidden if kept.scores else wanted.scores
        asked = Wanted(hidden=hidden, scores=scores, embedding=wanted.embedding, cls=wanted.cls and not kept.cls)
        return asked | kept_outputs(self.cache.key) if self._missing(batch) else asked

    def _given(
        self, batch: Batch, wanted: Wanted, computed: TeacherTargets, keep: bool, stored: Stored | None
    ) -> TeacherTargets:
        """The targets of a batch, of which what is not kept was computed."""
        cache = self.cache
        if cache is None:
            return computed
        stored = stored or self.stored(batch, wanted)
        if stored is None:
            new = packed(cache.key, batch, self._missing(batch), computed, self.teacher.layer_map)
            arrays = padded(cache.key, batch, records(cache, batch, new, keep), wanted)
            device = self.teacher.model.device
            stored = {name: pinned(torch.from_numpy(array), device) for name, array in arrays.items()}
        states = {name: getattr(computed, name) for name in STATES if getattr(wanted, name)}
        states |= {name: self._mapped(cache.key, stored[name]) for name in STATES if name in stored}
        logits = self._tensor(stored["logits"]) if wanted.logits else None
        return TeacherTargets(logits, embedding=computed.embedding, **states)

    def _mapped(self, key: CacheKey, array: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The layers of an array (L, B, …) in the order of the layer map; a layer mapped twice is moved once."""
        layers = self._tensor(array)
        return tuple(layers[key.layers.index(layer)] for layer in self.teacher.layer_map)

    def _tensor(self, array: torch.Tensor) -> torch.Tensor:
        """On the teacher's device, in float32: half precision travels, the loss is computed in full."""
        return array.to(self.teacher.model.device, non_blocking=True).float()


def fill_cache(
    targets: Targets,
    stream: ShardStream,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Makes the cache ahead of training, in the batches that the first epoch would have.

    Rows that an earlier fill got written before it was interrupted are kept, and their batches passed over.

    Args:
        targets: the teacher and its cache.
        stream: the rows.
        stop: asked after every group of batches, which on a CPU is one; True ends it.
        progress: told the rows of every group, once they are kept.

    Raises:
        DistillError: there is no cache to fill, or the teacher's outputs do not fit it.
        StoppedError: it was asked to stop; what the teacher gave is written.
    """
    cache = targets.cache
    if cache is None:
        raise DistillError("expected a cache to fill; found none. Open one and give it to Targets.")
    cache.take_up()
    flushed = time.monotonic()
    ahead, logits = targets.teacher.model.device.type == "cuda", Wanted(logits=True)
    limits = targets.group_limits(logits) if ahead else ONE
    for group in in_groups(stream.batches(Position()), limits, lambda batch: batch):
        places = [place for batch in group for place in zip(batch.shard.tolist(), batch.row.tolist(), strict=True)]
        if not all(cache.holds(shard, row) for shard, row in places):
            targets.of_group(group, logits, [True] * len(group))
        if progress is not None:
            progress(len(places))
        if stop is not None and stop():
            cache.flush()
            raise StoppedError
        if time.monotonic() - flushed >= FLUSH_SECONDS:
            cache.flush()
            flushed = time.monotonic()
    cache.flush()
    cache.finish()
    cache.refresh()


def sample_lengths(stream: ShardStream, chunks: int = 8) -> NDArray[np.int64]:
    """Tokens of the rows of a few chunks spread over the data set, for size estimates."""
    tokenizer = truncating(stream.tokenizer_json, stream.settings.max_length)
    step = max(1, len(stream.chunks) // chunks)
    rows = read_rows(stream.files, stream.chunks[::step], stream.columns, tokenizer)
    return rows.lengths.astype(np.int64)
