"""A batch of masked copies on the device, in rows or end to end: what the encoder reads, and attention over it.

Shapes are told by the host alone, which looks at nothing that is on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Excluded:
    """What may not be proposed at the M masks of a batch.

    Args:
        ids: int64 (M, E) vocabulary ids; that of [MASK], which never is proposed, where there are fewer.
        but_cjk: bool (M,) masks where nothing but CJK characters may stand; None where there are none.
        unspaced: bool (M,) masks where words stand without a space before them; None where there are none.
    """

    ids: Tensor
    but_cjk: Tensor | None
    unspaced: Tensor | None = None

    def of(self, masks: slice | Tensor) -> Excluded:
        """The same of some of the masks."""
        but_cjk, unspaced = (None if one is None else one[masks] for one in (self.but_cjk, self.unspaced))
        return Excluded(self.ids[masks], but_cjk, unspaced)


@dataclass(frozen=True)
class Rows:
    """Copies of one length, or padded to one: a row for each.

    Args:
        ids: int64 (B, L), 0 where padded.
        segments: int64 (B, L), or None.
        allowed: bool (B, 1, 1, L) False where padded; None where nothing is.
        queries: int64 (B, Q) masked tokens of each row, 0 where a row has fewer than Q.
        picked: int64 (M,) place of each mask in the flat `queries`; None where they are the B masks in order.
        excluded: what may not be proposed, or None.
    """

    ids: Tensor
    segments: Tensor | None
    allowed: Tensor | None
    queries: Tensor
    picked: Tensor | None
    excluded: Excluded | None = None
    places: None = None  # its tokens stand in their columns

    def at_masks(self, states: Tensor) -> Tensor:
        """(B, L, H) to (B, Q, H)."""
        return torch.gather(states, 1, self.queries[:, :, None].expand(-1, -1, states.shape[2]))

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries (B, Q or L, heads, size), keys and values (B, L, heads, size); the outcome as the queries."""
        query, key, value = (states.transpose(1, 2) for states in (query, key, value))
        return scaled_dot_product_attention(query, key, value, attn_mask=self.allowed).transpose(1, 2)

    attend_from_masks = attend

    def one_by_one(self, states: Tensor) -> Tensor:
        """(B, Q, H) to (M, H)."""
        states = states.flatten(0, 1)
        return states if self.picked is None else states[self.picked]


@dataclass(frozen=True)
class EndToEnd:
    """Copies without padding in one row of T tokens; what fills it up belongs to no copy and is never read.

    Args:
        ids: int64 (1, T).
        segments: int64 (1, T), or None.
        places: int64 (1, T) place of each token in its copy.
        starts: int32 (B + 1,) first token of each copy.
        longest: tokens of a copy at most.
        masked: int64 (M,) masked tokens, copy by copy; more at the end where the masks are filled up.
        mask_starts: int32 (B + 1,) first mask of each copy.
        most_masks: masks of a copy at most.
        kernel: attention over copies end to end (`varlen_kernel`), or None.
        excluded: what may not be proposed, or None.
    """

    ids: Tensor
    segments: Tensor | None
    places: Tensor
    starts: Tensor
    longest: int
    masked: Tensor
    mask_starts: Tensor
    most_masks: int
    kernel: Callable[..., Any] | None = None
    excluded: Excluded | None = None

    def at_masks(self, states: Tensor) -> Tensor:
        """(1, T, H) to (1, M, H)."""
        return states[:, self.masked]

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(1, T, heads, size) each."""
        ends = self.starts, self.starts, self.longest, self.longest
        return attention_end_to_end(query[0], key[0], value[0], *ends, self.kernel)[None]

    def attend_from_masks(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries (1, M, heads, size), keys and values (1, T, heads, size)."""
        ends = self.mask_starts, self.starts, self.most_masks, self.longest
        return attention_end_to_end(query[0], key[0], value[0], *ends, self.kernel)[None]

    def one_by_one(self, states: Tensor) -> Tensor:
        """(1, M, H) to (M, H)."""
        return states[0]


Batch = Rows | EndToEnd


def varlen_kernel(device: torch.device, dtype: torch.dtype) -> Callable[..., Any] | None:
    """Tells torch's attention over copies end to end, where it runs: half precision, capability 8.0, torch 2.10.

    Args:
        device: where.
        dtype: of the states.
    """
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return None
    if torch.cuda.get_device_capability(device)[0] < 8:
        return None
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn


def attention_end_to_end(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_starts: Tensor,
    starts: Tensor,
    most_queries: int,
    longest: int,
    kernel: Callable[..., Any] | None = None,
) -> Tensor:
    """Attention within each of B copies that lie end to end.

    Args:
        query: (S, heads, size).
        key: (T, heads, size).
        value: (T, heads, size).
        query_starts: int32 (B + 1,) first query of each copy.
        starts: int32 (B + 1,) its first key.
        most_queries: queries of a copy at most.
        longest: keys of a copy at most.
        kernel: what `varlen_kernel` gave; without one, copies are padded to rows.

    Returns:
        (S, heads, size); of queries in no copy it says nothing.
    """
    if kernel is not None:
        attended: Tensor = kernel(query, key, value, query_starts, starts, most_queries, longest)
        return attended
    asking = len(query)
    asked, _ = _padded_rows(query_starts, most_queries, asking)
    rows, inside = _padded_rows(starts, longest, len(key))
    query, key, value = (states.transpose(1, 2) for states in (query[asked], key[rows], value[rows]))
    found = scaled_dot_product_attention(query, key, value, attn_mask=inside[:, None, None, :])
    place = torch.arange(asking, device=query.device)
    copy = torch.searchsorted(query_starts[1:].long(), place, right=True).clamp(max=len(asked) - 1)
    column = (place - query_starts[copy]).clamp(max=most_queries - 1)
    return found.transpose(1, 2)[copy, column]


def _padded_rows(starts: Tensor, width: int, size: int) -> tuple[Tensor, Tensor]:
    """Places (B, width) of what lies end to end, and which of them are inside their copy."""
    column = torch.arange(width, device=starts.device)
    places = starts[:-1, None] + column
    return places.clamp(max=size - 1), places < starts[1:, None]
