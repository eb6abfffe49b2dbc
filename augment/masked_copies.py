"""Masked copies of texts (Algorithm 1, line 8) and the batches they run in. Pure numpy, no model."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from augment.masked_lm import Copies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from augment.words import WordedText

ALIGNED = 32  # see packed_linear.STEP
PADDED_AT_MOST = 0.75  # a copy shorter than this share of its batch's longest starts a new batch


class Masked(NamedTuple):
    """One word to mask.

    Attributes:
        word: number of the word in its text, for the distance between masks.
        token: its WordPiece's position in the text's ids.
        slot: where its candidates go.
    """

    word: int
    token: int
    slot: int


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the masked LM's special tokens and the number of tokens it can read at once."""

    cls: int
    sep: int
    mask: int
    window: int


@dataclass(frozen=True)
class CopyGroup:
    """Masked copies of one length.

    Args:
        ids: int32 (M, L).
        first_segment: int32 (M,) tokens of the first segment.
        positions: int32 (M, Q) masked positions, -1 where a copy has fewer.
        slots: int64 (M, Q) where the candidates go, -1 likewise.
        texts: int32 (M,) number of the text.
    """

    ids: np.ndarray
    first_segment: np.ndarray
    positions: np.ndarray
    slots: np.ndarray
    texts: np.ndarray

    @property
    def length(self) -> int:
        """Tokens of each copy."""
        return int(self.ids.shape[1])


class _Block(NamedTuple):
    ids: np.ndarray
    first_segment: int
    positions: np.ndarray
    slots: np.ndarray
    text: int


def masked_copies(
    texts: Sequence[WordedText],
    masked: Sequence[Sequence[Masked]],
    seconds: Sequence[Sequence[int] | None],
    special: SpecialIds,
    spacing: int = 0,
) -> list[CopyGroup]:
    """Makes every masked copy that the words of some texts need.

    Args:
        texts: the texts.
        masked: for each text the words to mask, in order.
        seconds: for each text the ids of its second segment: of its partner, the text's own for itself, or None.
        special: special tokens and window.
        spacing: 0: one mask in a copy; S: words at least S words apart share one.

    Returns:
        Groups by length, longest first.
    """
    blocks: dict[int, list[_Block]] = {}
    for number, (text, words, second) in enumerate(zip(texts, masked, seconds, strict=True)):
        for block in _blocks_of_text(number, text.ids, words, second, special, spacing):
            blocks.setdefault(block.ids.shape[1], []).append(block)
    return [_group(blocks[length]) for length in sorted(blocks, reverse=True)]


def copy_sizes(
    text: WordedText, words: Sequence[Masked], second: Sequence[int] | None, window: int, spacing: int
) -> tuple[int, int]:
    """Counts copies and tokens a text needs, without making them.

    Args:
        text: the text.
        words: its words to mask.
        second: ids of its second segment, or None.
        window: tokens the masked LM reads at once.
        spacing: as in `masked_copies`.

    Returns:
        Copies, and tokens of all copies, special tokens included.
    """
    first_room, kept = _rooms(text.ids, second, window)
    visible = min(len(text.ids), first_room)
    length = visible + 2 if second is None else visible + 3 + (visible if second is text.ids else kept)
    copies = len(words)
    if spacing:
        starts = (_window_start(word.token, len(text.ids), first_room, spacing) for word in words)
        copies = len({(start, word.word % spacing) for start, word in zip(starts, words, strict=True)})
    return copies, copies * length


def batches(groups: Sequence[CopyGroup], batch_tokens: int) -> Iterator[tuple[Copies, np.ndarray, np.ndarray]]:
    """Packs copies into batches of about equal token counts.

    Args:
        groups: what `masked_copies` made.
        batch_tokens: tokens in a batch, padding included; a single copy may exceed it.

    Yields:
        Copies, their slots int64 (M,) and texts int32 (M,) in the order `MaskedLM.propose` answers. Copies of
        one length stand together; a batch less than half full goes on with the next shorter length.
    """
    parts: list[tuple[CopyGroup, int, int]] = []
    width = rows = 0
    for group in groups:
        if parts and (2 * rows * width >= batch_tokens or group.length < PADDED_AT_MOST * width):
            yield _join(parts, width)
            parts, rows = [], 0
        start = 0
        while start < len(group.ids):
            width = width if parts else group.length
            most = _rows_of_batch(width, batch_tokens)
            room = most - rows
            stop = min(start + room, len(group.ids))
            parts.append((group, start, stop))
            rows += stop - start
            start = stop
            if rows >= most:
                yield _join(parts, width)
                parts, rows = [], 0
    if parts:
        yield _join(parts, width)


def _rows_of_batch(width: int, batch_tokens: int) -> int:
    """Rows of a full batch; where few are lost, their tokens are a multiple of ALIGNED, which kernels like."""
    rows = max(1, batch_tokens // width)
    step = ALIGNED // gcd(width, ALIGNED)
    return rows // step * step if rows >= 2 * step else rows


def _blocks_of_text(
    number: int,
    ids: list[int],
    words: Sequence[Masked],
    second: Sequence[int] | None,
    special: SpecialIds,
    spacing: int,
) -> Iterator[_Block]:
    if not words:
        return
    first_room, kept = _rooms(ids, second, special.window)
    by_window: dict[int, list[Masked]] = {}
    for word in words:
        by_window.setdefault(_window_start(word.token, len(ids), first_room, spacing), []).append(word)
    for start, inside in by_window.items():
        visible = ids[start : start + first_room]
        line = [special.cls, *visible, special.sep]
        if second is not None:
            line += [*(visible if second is ids else second[:kept]), special.sep]
        tokens = np.array([word.token - start + 1 for word in inside], dtype=np.int32)
        slots = np.array([word.slot for word in inside], dtype=np.int64)
        passes = np.arange(len(inside))
        if spacing:
            passes = np.array([word.word % spacing for word in inside])
        base = np.array(line, dtype=np.int32)
        yield _mask(number, base, len(visible) + 2, tokens, slots, passes, special.mask)


def _rooms(ids: list[int], second: Sequence[int] | None, window: int) -> tuple[int, int]:
    """Tokens for the first and for the second segment; a text as its own partner shows the same window twice."""
    if second is None:
        return window - 2, 0
    room = window - 3
    if second is ids:
        return room // 2, room // 2
    kept = min(len(second), max(room // 2, room - len(ids)))
    return room - kept, kept


def _window_start(token: int, length: int, room: int, spacing: int) -> int:
    """First token of the window a masked word is seen in: all of a text that fits, else centred."""
    if length <= room:
        return 0
    centre = token
    if spacing:  # words of one half window share a window, which shows a quarter of it on either side
        half = max(1, room // 2)
        centre = token // half * half + half // 2
    return max(0, min(centre - room // 2, length - room))


def _mask(
    number: int,
    base: np.ndarray,
    first_segment: int,
    tokens: np.ndarray,
    slots: np.ndarray,
    passes: np.ndarray,
    mask_id: int,
) -> _Block:
    names, copy = np.unique(passes, return_inverse=True)
    order = np.argsort(copy, kind="stable")
    copy, tokens, slots = copy[order], tokens[order], slots[order]
    counts = np.bincount(copy, minlength=len(names))
    column = np.arange(len(copy)) - np.repeat(np.cumsum(counts) - counts, counts)
    ids = np.repeat(base[None], len(names), axis=0)  # (copies, L)
    ids[copy, tokens] = mask_id
    positions = np.full((len(names), counts.max()), -1, dtype=np.int32)
    positions[copy, column] = tokens
    targets = np.full(positions.shape, -1, dtype=np.int64)
    targets[copy, column] = slots
    return _Block(ids, first_segment, positions, targets, number)


def _group(blocks: list[_Block]) -> CopyGroup:
    columns = max(block.positions.shape[1] for block in blocks)
    sizes = [len(block.ids) for block in blocks]
    return CopyGroup(
        np.concatenate([block.ids for block in blocks]),
        np.repeat(np.array([block.first_segment for block in blocks], dtype=np.int32), sizes),
        np.concatenate([_widen(block.positions, columns) for block in blocks]),
        np.concatenate([_widen(block.slots, columns) for block in blocks]),
        np.repeat(np.array([block.text for block in blocks], dtype=np.int32), sizes),
    )


def _join(parts: list[tuple[CopyGroup, int, int]], width: int) -> tuple[Copies, np.ndarray, np.ndarray]:
    columns = max(group.positions.shape[1] for group, _, _ in parts)
    cut = [(group, slice(start, stop)) for group, start, stop in parts]
    ids = np.concatenate([_widen(group.ids[rows], width, 0) for group, rows in cut]).astype(np.int64)
    lengths = np.concatenate([np.full(rows.stop - rows.start, group.length) for group, rows in cut])
    first = np.concatenate([group.first_segment[rows] for group, rows in cut]).astype(np.int64)
    positions = np.concatenate([_widen(group.positions[rows], columns) for group, rows in cut]).astype(np.int64)
    slots = np.concatenate([_widen(group.slots[rows], columns) for group, rows in cut])
    texts = np.concatenate([group.texts[rows] for group, rows in cut])
    wanted = positions >= 0
    texts = np.broadcast_to(texts[:, None], positions.shape)[wanted]
    return Copies(ids, lengths, first, positions), slots[wanted], texts


def _widen(array: np.ndarray, columns: int, fill: int = -1) -> np.ndarray:
    missing = columns - array.shape[1]
    return array if missing == 0 else np.pad(array, ((0, 0), (0, missing)), constant_values=fill)
