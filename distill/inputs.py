"""A batch as tensors on a device: packed into one array on the host, moved by one copy, and cut into views there.

What the host knows, such as whether anything is padded, is never asked of the device, which would have to catch up
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.masking import masked_places

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from distill.shards import Batch

XLNET = "xlnet"  # has segments without embeddings of them, and reads its last token
BUCKET = 8  # widths on a GPU are multiples of it: few shapes, and aligned ones


@dataclass(frozen=True)
class BatchTensors:
    """The tensors of a batch.

    Attributes:
        ids: token ids (B, T), int64.
        types: segment ids (B, T), int64.
        mask: (B, T), int64, 1 at own positions; None where nothing is padded.
        labels: (B,) float64, or (3, P) int64 as `masking.masked_places` gives them; None without labels.
    """

    ids: Tensor
    types: Tensor
    mask: Tensor | None
    labels: Tensor | None

    def inputs(self, model: PreTrainedModel) -> dict[str, Tensor]:
        """What a model takes of them, by the names of its arguments."""
        found = {"input_ids": self.ids}
        if self.mask is not None:
            found["attention_mask"] = self.mask
        if has_segments(model.config):
            found["token_type_ids"] = self.types
        return found


def has_segments(config: PreTrainedConfig) -> bool:
    """Whether a model is told which tokens are of the second text."""
    segments = getattr(config, "type_vocab_size", None)
    return (isinstance(segments, int) and segments > 1) or config.model_type == XLNET


@dataclass(frozen=True)
class Layout:
    """Where the tensors of a batch lie in its packed array; equal layouts, equal shapes.

    Attributes:
        rows: B.
        width: T.
        padded: whether there is a mask.
        labels: entries of the labels; 0 without them.
        masked: whether they belong to masked tokens.
    """

    rows: int
    width: int
    padded: bool
    labels: int
    masked: bool

    def split(self, packed: Tensor) -> BatchTensors:
        """Views of a packed array, on its device."""
        sizes = [self.rows * self.width] * (3 if self.padded else 2)
        *tokens, labels = packed.split([*sizes, self.labels])
        ids, types, *mask = (part.view(self.rows, self.width) for part in tokens)
        own = mask[0] if mask else None
        if not self.labels:
            return BatchTensors(ids, types, own, None)
        return BatchTensors(ids, types, own, labels.view(3, -1) if self.masked else labels.view(torch.float64))


@dataclass(frozen=True)
class PackedBatch:
    """A batch on the host, ready to be moved.

    Attributes:
        array: all its numbers (N,), int64; pinned for a GPU.
        layout: where they lie.
    """

    array: Tensor
    layout: Layout

    def to(self, device: torch.device) -> BatchTensors:
        """Moves it by one copy, which on a GPU nobody waits for."""
        return self.layout.split(self.array.to(device, non_blocking=True))


def pack_batch(batch: Batch, device: torch.device, always_mask: bool = False) -> PackedBatch:
    """Packs a batch.

    Args:
        batch: at least one example.
        device: where it will go.
        always_mask: with a mask even where nothing is padded, so that batches of one size have one layout.
    """
    parts, labels = [batch.ids, batch.types], batch.labels
    if padded := always_mask or not batch.mask.all():
        parts.append(batch.mask)
    masked = labels is not None and labels.ndim == 2
    own = np.empty(0, np.int64)
    if labels is not None:
        own = masked_places(labels.astype(np.int64)) if masked else labels.astype(np.float64).view(np.int64)
    array = torch.from_numpy(np.concatenate([part.ravel() for part in (*parts, own)]))
    layout = Layout(len(batch), batch.ids.shape[1], bool(padded), own.size, masked)
    return PackedBatch(pinned(array, device), layout)


def pinned(array: Tensor, device: torch.device) -> Tensor:
    """A copy from which a GPU fetches by itself; the same array for a CPU."""
    if device.type != "cuda":
        return array
    with torch.cuda.device(device):  # a new thread's is the first card, which would get a context
        return array.pin_memory()


def batch_tensors(batch: Batch, device: torch.device) -> BatchTensors:
    """Packs and moves a batch."""
    return pack_batch(batch, device).to(device)


def bucket_width(batch: Batch, longest: int, pad_id: int, bucket: int = BUCKET) -> Batch:
    """Widens a batch to a multiple of `bucket`, but not past the longest example that may come.

    Args:
        batch: at least one example.
        longest: tokens of an example at most.
        pad_id: id at padded positions.
        bucket: tokens.
    """
    width = batch.ids.shape[1]
    return batch.widened(max(width, min(longest, width + -width % bucket)), pad_id)
