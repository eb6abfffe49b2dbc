"""Masked copies of texts (Algorithm 1, line 8): which stretch of which text, and where it is masked. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from augment.layouts import Cutter

if TYPE_CHECKING:
    from augment.layouts import Layout
    from augment.words import TokenRows


class Masks(NamedTuple):
    """M words to mask, in the order of their texts.

    Attributes:
        texts: int64 (M,) number of the text.
        words: int64 (M,) number of the word in its text, for the distance between masks.
        tokens: int64 (M,) position of its piece in the text's ids.
        slots: int64 (M,) where its candidates go.
    """

    texts: np.ndarray
    words: np.ndarray
    tokens: np.ndarray
    slots: np.ndarray


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the masked LM's special tokens and the number of tokens it can read at once.

    Attributes:
        cls, sep, mask: ids.
        window: tokens.
        between: how many sep stand between two segments: 1, RoBERTa and its kin have 2.
    """

    cls: int
    sep: int
    mask: int
    window: int
    between: int = 1


class MaskedCopies:
    """Every masked copy that some words need, longest first; token ids are made on the device, when a batch runs.

    Args:
        rows: token ids of T texts.
        seconds: T second segments; `rows` itself shows each text's window twice; None for no second segment.
        masks: the words to mask.
        special: special tokens and window.
        spacing: 0: one mask in a copy; S: words at least S words apart share one.

    Attributes:
        rows, seconds, special: as given.
        lengths: int64 (N,) tokens of each copy, descending; copies of one length stand in the order of their texts.
        texts: int64 (N,) text that each is a copy of.
        begins: int64 (N,) place in `rows.ids` of the first token that it shows.
        visible: int64 (N,) tokens of the text that it shows.
        second_begins: the same as `begins` of the second segment; None without one.
        first_masks: int64 (N + 1,) its first mask.
        positions: int64 (M,) token of the copy that each mask stands on, copy by copy.
        slots: int64 (M,) where the candidates of each mask go.
    """

    def __init__(
        self, rows: TokenRows, seconds: TokenRows | None, masks: Masks, special: SpecialIds, spacing: int = 0
    ) -> None:
        self.rows, self.seconds, self.special = rows, seconds, special
        sizes = np.diff(rows.offsets)
        room, kept = _rooms(rows, seconds, special)
        visible = np.minimum(sizes, room)
        length = visible + kept + (2 if seconds is None else 2 + special.between)
        start = _window_starts(masks.tokens, sizes[masks.texts], room[masks.texts], spacing)
        name = masks.words % spacing if spacing else np.arange(len(masks.words))
        order = np.lexsort((name, start, masks.texts, -length[masks.texts]))
        copy = np.stack([masks.texts, start, name])[:, order]  # (3, M): masks with the same three share a copy
        first = np.flatnonzero(np.diff(copy, axis=1, prepend=-1).any(axis=0))
        self.texts, starts = copy[0, first], copy[1, first]
        self.first_masks = np.append(first, len(order))
        self.positions = (masks.tokens - start + 1)[order]
        self.slots = masks.slots[order]
        self.lengths, self.visible = length[self.texts], visible[self.texts]
        self.begins = rows.offsets[self.texts] + starts
        self.second_begins = None
        if seconds is not None:
            self.second_begins = seconds.offsets[self.texts] + (starts if seconds is rows else 0)

    def cutter(self, layout: Layout, batch_tokens: int) -> Cutter:
        """What cuts the copies into batches.

        Args:
            layout: how a batch is laid out.
            batch_tokens: tokens of a full one.
        """
        return Cutter(self.lengths, layout, batch_tokens, self.special.window)

    @property
    def counts(self) -> dict[str, int]:
        """Masked words, copies and their tokens, special tokens included."""
        return {
            "masked_words": len(self.slots),
            "masked_copies": len(self.lengths),
            "mlm_tokens": int(self.lengths.sum()),
        }


def _rooms(rows: TokenRows, seconds: TokenRows | None, special: SpecialIds) -> tuple[np.ndarray, np.ndarray]:
    """Tokens that there is room for in the first segment, and tokens kept of the second, each (T,)."""
    sizes = np.diff(rows.offsets)
    if seconds is None:
        return np.full_like(sizes, special.window - 2), np.zeros_like(sizes)
    room = special.window - 2 - special.between
    if seconds is rows:
        return np.full_like(sizes, room // 2), np.minimum(sizes, room // 2)
    kept = np.minimum(np.diff(seconds.offsets), np.maximum(room // 2, room - sizes))
    return room - kept, kept


def _window_starts(tokens: np.ndarray, sizes: np.ndarray, room: np.ndarray, spacing: int) -> np.ndarray:
    """First token of the window each masked word is seen in: all of a text that fits, else centred."""
    centre = tokens
    if spacing:  # words of one half window share a window, which shows a quarter of it on either side
        half = np.maximum(1, room // 2)
        centre = tokens // half * half + half // 2
    return np.maximum(0, np.minimum(centre - room // 2, sizes - room))
