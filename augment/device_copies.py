"""Masked copies made where the masked LM runs: texts go there once, batches are laid out from (text, position)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from augment.batch import EndToEnd, Excluded, Rows
from augment.layouts import Layout
from augment.transfer import to_device

if TYPE_CHECKING:
    from collections.abc import Callable

    from augment.batch import Batch
    from augment.layouts import Cut
    from augment.masked_copies import MaskedCopies

CJK_ONLY = -2  # in `exclude`: bars all that is no CJK character
UNSPACED = -3  # in `exclude`: words that stand without a space before them, in place of those that stand behind one
MASKS_STEP = 256  # masks of a batch are filled up to a multiple where their number is not that of the rows


class DeviceCopies:
    """Copies on a device.

    Args:
        copies: what to make.
        device: where the masked LM runs.
        exclude: int64 (slots, E) vocabulary ids never proposed for each slot, CJK_ONLY for all but CJK
            characters, or UNSPACED; -1 where there are fewer; None for nothing.
        two_segments: whether the masked LM tells segments apart.
        kernel: attention over copies end to end (`augment.batch.varlen_kernel`), or None.
    """

    def __init__(
        self,
        copies: MaskedCopies,
        device: torch.device,
        exclude: np.ndarray | None,
        two_segments: bool,
        kernel: Callable[..., Any] | None = None,
    ) -> None:
        self._copies, self._device, self._special, self._kernel = copies, device, copies.special, kernel
        counts = np.diff(copies.first_masks)
        self._most_masks = int(counts.max(initial=1))
        self._two_segments = two_segments and copies.seconds is not None
        self._ids = to_device(copies.rows.ids, device)
        self._second_ids = None
        if copies.seconds is not None:
            self._second_ids = self._ids if copies.seconds is copies.rows else to_device(copies.seconds.ids, device)
        each = np.stack([copies.lengths, copies.begins, copies.visible])  # (3, N)
        self._lengths, self._begins, self._visible = to_device(each, device)
        if copies.second_begins is not None:
            self._second_begins = to_device(copies.second_begins, device)
        self._ends = to_device(np.append(0, np.cumsum(copies.lengths)), device)
        self._first_masks = to_device(copies.first_masks, device)
        copy = np.repeat(np.arange(len(counts)), counts)
        masks = np.stack([copy, copies.positions, np.arange(len(copy)) - copies.first_masks[copy]])  # (3, M)
        self._mask_copies, self._positions, self._numbers = to_device(masks, device)
        self._excluded = None if exclude is None else self._barred(exclude[copies.slots])

    def batch(self, cut: Cut, layout: Layout) -> Batch:
        """Lays out a batch; asks the device nothing.

        Args:
            cut: which copies.
            layout: the one it was cut for.
        """
        first, last = (int(self._copies.first_masks[copy]) for copy in (cut.start, cut.stop))
        wanted = self._masks_of(cut, layout, last - first)
        masks = self._to(first, wanted).clamp(max=last - 1)  # (M,), the last mask again where filled up
        if layout is Layout.PACKED:
            return self._end_to_end(cut, masks, first)
        return self._rows(cut, masks, layout)

    def _masks_of(self, cut: Cut, layout: Layout, masks: int) -> int:
        if layout is Layout.NEAR:
            return masks
        if layout is not Layout.PACKED and self._most_masks == 1:
            return cut.rows
        return -(-masks // MASKS_STEP) * MASKS_STEP

    def _rows(self, cut: Cut, masks: Tensor, layout: Layout) -> Rows:
        copies = self._copies
        most = self._most_masks
        if layout is Layout.NEAR:
            most = int(np.diff(copies.first_masks[cut.start : cut.stop + 1]).max())
        column = self._to(0, cut.width)
        copy = self._to(cut.start, cut.rows).clamp(max=cut.stop - 1)[:, None]  # (B, 1), the last one again at the end
        ids = self._tokens(copy, column)
        row, position = self._mask_copies[masks] - cut.start, self._positions[masks]
        ids.view(-1).index_fill_(0, row * cut.width + position, self._special.mask)  # by index it would wait
        if most == 1 and len(masks) == cut.rows:
            queries, picked = position[:, None], None
        else:
            number = self._numbers[masks]
            queries = torch.zeros((cut.rows, most), dtype=torch.int64, device=self._device)
            queries[row, number] = position
            picked = row * most + number
        padded = layout is Layout.EIGHTS or int(copies.lengths[cut.stop - 1]) < cut.width
        allowed = (column < self._lengths[copy])[:, None, None] if padded else None
        return Rows(ids, self._segments(copy, column), allowed, queries, picked, self._excluded_at(masks))

    def _end_to_end(self, cut: Cut, masks: Tensor, first: int) -> EndToEnd:
        starts = self._ends[cut.start : cut.stop + 1] - self._ends[cut.start]
        token = self._to(0, cut.width)
        row = torch.searchsorted(starts[1:], token, right=True).clamp(max=cut.stop - cut.start - 1)
        copy, column = cut.start + row, token - starts[row]
        ids = self._tokens(copy, column)
        masked = starts[self._mask_copies[masks] - cut.start] + self._positions[masks]
        ids.index_fill_(0, masked, self._special.mask)  # ids[masked] = … would wait for the device
        segments = self._segments(copy, column)
        return EndToEnd(
            ids[None],
            None if segments is None else segments[None],
            torch.where(column < self._lengths[copy], column, 0)[None],
            starts.int(),
            int(self._copies.lengths[cut.start]),
            masked,
            (self._first_masks[cut.start : cut.stop + 1] - first).int(),
            self._most_masks,
            self._kernel,
            self._excluded_at(masks),
        )

    def _tokens(self, copy: Tensor, column: Tensor) -> Tensor:
        """Token ids, nothing masked: [CLS] text [SEP], and second segment [SEP]; 0 after the end.

        `copy` and `column` broadcast, and so does the outcome.
        """
        visible, length = self._visible[copy], self._lengths[copy]
        ids = _taken(self._ids, self._begins[copy] + column - 1)
        if self._second_ids is not None:
            second = _taken(self._second_ids, self._second_begins[copy] + column - visible - 1 - self._special.between)
            ids = torch.where(column <= visible, ids, second)
        sep = ((column > visible) & (column <= visible + self._special.between)) | (column == length - 1)
        ids = torch.where(sep, self._special.sep, ids)
        return torch.where(column < length, torch.where(column == 0, self._special.cls, ids), 0)

    def _segments(self, copy: Tensor, column: Tensor) -> Tensor | None:
        return (column > self._visible[copy] + self._special.between).long() if self._two_segments else None

    def _barred(self, exclude: np.ndarray) -> Excluded:
        ids = np.where(exclude >= 0, exclude, self._special.mask)
        told = ((exclude == code).any(axis=1) for code in (CJK_ONLY, UNSPACED))
        flags = [to_device(one, self._device) if one.any() else None for one in told]
        return Excluded(to_device(ids, self._device), *flags)

    def _excluded_at(self, masks: Tensor) -> Excluded | None:
        return None if self._excluded is None else self._excluded.of(masks)

    def _to(self, first: int, count: int) -> Tensor:
        return torch.arange(first, first + count, device=self._device)


def _taken(values: Tensor, index: Tensor) -> Tensor:
    """Values at places of which some lie outside: these are read by nobody."""
    return values[index.clamp(0, max(len(values) - 1, 0))] if len(values) else torch.zeros_like(index)
