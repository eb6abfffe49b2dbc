"""What lies in a teacher cache: its key, the layout of a row's record, sizes, and the choice of content.

A row of l tokens is one flat array: logits (C), then raw scores (L, h, l, l), then hidden states (L, l, d), for L
mapped layers; a cache of content `logits` holds the first part alone.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from distill.errors import DistillError
from distill.wording import shown_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = 1
DEFAULT_BUDGET = 20 * 10**9  # bytes
INDEX = np.dtype([("row", "<i8"), ("offset", "<i8"), ("tokens", "<i4")])  # one entry a row; offset in values


class CacheMode(StrEnum):
    """What to keep: auto decides between full and logits by the budget."""

    AUTO = "auto"
    FULL = "full"
    LOGITS = "logits"
    OFF = "off"


@dataclass(frozen=True)
class CacheKey:
    """Everything that decides the cached numbers, but for the shards, whose sha256 names their files.

    Attributes:
        teacher: fingerprint of the weights.
        tokenizer: fingerprint of the tokenizer.
        layers: mapped layers g(1) … g(M), as often as they occur.
        texts: text columns in order.
        precision: compute precision of the teacher.
        dtype: float16 or float32.
        max_length: tokens at which texts are cut.
        content: full or logits.
        classes: C; 0 for a teacher that predicts nothing.
        heads: h.
        width: d.
        format: version of this layout.
    """

    teacher: str
    tokenizer: str
    layers: tuple[int, ...]
    texts: tuple[str, ...]
    precision: str
    dtype: str
    max_length: int
    content: str
    classes: int
    heads: int
    width: int
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.content not in (CacheMode.FULL, CacheMode.LOGITS):
            raise DistillError(f"expected cache content full or logits; found {self.content}. Resolve auto first.")
        if self.dtype not in ("float16", "float32"):
            raise DistillError(f"expected cache dtype float16 or float32; found {self.dtype}. Choose one of them.")

    @property
    def full(self) -> bool:
        """Whether scores and hidden states are kept, not logits alone."""
        return self.content == CacheMode.FULL

    def values(self, tokens: NDArray[np.int64] | int) -> NDArray[np.int64] | int:
        """Numbers in the record of a row of `tokens` tokens."""
        states = len(self.layers) * (self.heads * tokens * tokens + tokens * self.width) if self.full else 0
        return self.classes + states

    def as_json(self) -> dict[str, object]:
        """The fields as JSON holds them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def first_difference(self, stored: Mapping[str, object]) -> str | None:
        """Names the first field that a stored key has otherwise."""
        mine = self.as_json()
        for field in fields(self):
            if stored.get(field.name) != mine[field.name]:
                return f"{field.name} {stored.get(field.name)!r}, now {mine[field.name]!r}"
        return None


@dataclass(frozen=True)
class CachePlan:
    """The decision for a run, with the numbers it rests on.

    Attributes:
        content: full, logits or off.
        logits_bytes: estimate for logits alone.
        full_bytes: estimate with scores and hidden states.
        budget: bytes allowed.
        taken: bytes of the budget that other records have.
        predicts: whether there are logits to keep.
    """

    content: CacheMode
    logits_bytes: int
    full_bytes: int
    budget: int
    taken: int = 0
    predicts: bool = True

    def __str__(self) -> str:
        logits = f"logits {shown_bytes(self.logits_bytes)}, with " if self.predicts else ""
        taken = f", of which other records there take {shown_bytes(self.taken)}" if self.taken else ""
        return (
            f"teacher cache: {self.content} ({logits}attention scores and hidden states "
            f"{shown_bytes(self.full_bytes)}, budget {shown_bytes(self.budget)}{taken})"
        )

    def beyond_budget(self) -> str:
        """What to say of a full cache that does not fit, before what to do."""
        others = f", and other records there {shown_bytes(self.taken)}" if self.taken else ""
        return (
            f"expected a cache within {shown_bytes(self.budget)}; a full one takes about "
            f"{shown_bytes(self.full_bytes)}{others}"
        )


def plan_cache(
    mode: CacheMode, lengths: NDArray[np.int64], rows: int, key: CacheKey, budget: int, taken: int = 0
) -> CachePlan:
    """Decides what to keep.

    Args:
        mode: what the user asked for.
        lengths: tokens of a sample of rows.
        rows: rows of the data set.
        key: of a full cache.
        budget: bytes.
        taken: bytes of the budget that other records have.

    Returns:
        The decision; `auto` keeps logits always and the rest when its estimate fits.

    Raises:
        DistillError: `full` was asked for and does not fit.
    """
    size = np.dtype(key.dtype).itemsize
    entry = INDEX.itemsize
    full = int(np.mean(np.asarray(key.values(lengths.astype(np.int64)))) * size * rows) + entry * rows
    logits = (key.classes * size + entry) * rows
    fits = full + taken <= budget
    content = mode
    if mode is CacheMode.AUTO:
        content = CacheMode.FULL if fits else CacheMode.LOGITS
    plan = CachePlan(content, logits, full, budget, taken, key.classes > 0)
    if mode is CacheMode.FULL and not fits:
        raise DistillError(
            f"{plan.beyond_budget()}. Raise the budget, {'choose another folder, ' if taken else ''}or choose auto or "
            "logits."
        )
    return plan


def default_budget(folder: Path, there: int = 0) -> int:
    """The smaller of 20 GB and half the disk that would be free without the caches that lie in a folder.

    Args:
        folder: of the caches; may not exist yet.
        there: bytes of the caches in it.
    """
    while not folder.exists():
        folder = folder.parent
    return min(DEFAULT_BUDGET, (shutil.disk_usage(folder).free + there) // 2)


def pack(key: CacheKey, tokens: int, parts: Mapping[str, NDArray[np.float32]]) -> NDArray[np.generic]:
    """The record of one row.

    Args:
        key: its layout.
        tokens: l.
        parts: `logits` (C,), and for a full cache `scores` (L, h, T, T) and `hidden` (L, T, d), padded.

    Returns:
        Flat, in the key's dtype.
    """
    flat = [parts["logits"]]
    if key.full:
        flat += [parts["scores"][:, :, :tokens, :tokens].ravel(), parts["hidden"][:, :tokens].ravel()]
    with np.errstate(over="ignore"):  # an overflow is found, and named, by the caller
        return np.concatenate(flat).astype(key.dtype)


def unpack(key: CacheKey, tokens: int, record: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
    """Views of a record: `logits` (C,), and for a full cache `scores` (L, h, l, l) and `hidden` (L, l, d)."""
    parts = {"logits": record[: key.classes]}
    if key.full:
        layers, middle = len(key.layers), key.classes + len(key.layers) * key.heads * tokens * tokens
        parts["scores"] = record[key.classes : middle].reshape(layers, key.heads, tokens, tokens)
        parts["hidden"] = record[middle:].reshape(layers, tokens, key.width)
    return parts
