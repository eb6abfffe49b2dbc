"""What a teacher cache holds: its key, the layout of a row's record, sizes, and the choice of content.

The record of a row of l tokens is one flat array: logits (C), then what the cache's content keeps of the L different
layers that are mapped: raw scores (L, h, l, l), hidden states (L, l, d), hidden states of [CLS] alone (L, d).
"""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.errors import DistillError
from distill.wording import shown_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = 2  # of keys and records; caches of another format are refused
DEFAULT_BUDGET = 20 * 10**9  # bytes
INDEX = np.dtype([("row", "<i8"), ("offset", "<i8"), ("tokens", "<i4")])  # one entry a row; offset in values


class CacheMode(StrEnum):
    """How much to keep: full keeps logits and all states of layers that the losses use; auto decides by the budget."""

    AUTO = "auto"
    FULL = "full"
    LOGITS = "logits"
    OFF = "off"


class CacheContent(StrEnum):
    """What a cache keeps beside the logits: scores and hidden states, one of them, [CLS] states, or nothing."""

    FULL = "full"
    HIDDEN = "hidden"
    SCORES = "scores"
    CLS = "cls"
    LOGITS = "logits"

    @staticmethod
    def of(hidden: bool, scores: bool, cls: bool = False) -> CacheContent:
        """The smallest content that holds the states asked for; [CLS] states are only kept without the others."""
        if hidden and scores:
            return CacheContent.FULL
        if hidden or scores:
            return CacheContent.HIDDEN if hidden else CacheContent.SCORES
        return CacheContent.CLS if cls else CacheContent.LOGITS

    @property
    def hidden(self) -> bool:
        """Whether hidden states of the mapped layers are kept."""
        return self in (CacheContent.FULL, CacheContent.HIDDEN)

    @property
    def scores(self) -> bool:
        """Whether raw attention scores of the mapped layers are kept."""
        return self in (CacheContent.FULL, CacheContent.SCORES)

    @property
    def cls(self) -> bool:
        """Whether hidden states of [CLS] are kept, and of no other position."""
        return self is CacheContent.CLS

    @property
    def of_layers(self) -> bool:
        """Whether anything but logits is kept."""
        return self is not CacheContent.LOGITS


@dataclass(frozen=True)
class CacheKey:
    """Everything that decides the cached numbers except the shards, whose digests name the files.

    Attributes:
        teacher: fingerprint of the weights.
        tokenizer: fingerprint of the tokenizer.
        layers: the mapped layers, ascending and each once; empty for logits alone, which do not depend on them.
        texts: text columns in order.
        precision: compute precision of the teacher.
        dtype: float16 or float32.
        max_length: tokens at which texts are cut.
        content: a CacheContent.
        classes: C; 0 for a teacher that predicts nothing.
        heads: h; 0 without scores.
        width: d; 0 without hidden states of any kind.
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
        if self.content not in tuple(CacheContent):
            raise DistillError(
                f"expected a cache content of {', '.join(CacheContent)}; found {self.content}. Resolve auto first."
            )
        if self.dtype not in ("float16", "float32"):
            raise DistillError(f"expected cache dtype float16 or float32; found {self.dtype}. Choose one of them.")

    @property
    def kept(self) -> CacheContent:
        """The content as an enum."""
        return CacheContent(self.content)

    def shapes(self, tokens: NDArray[np.int64] | int) -> dict[str, tuple[Any, ...]]:
        """Names and shapes of the arrays in the record of a row of `tokens` tokens, in order; `logits` come first."""
        layers, kept = len(self.layers), self.kept
        shapes: dict[str, tuple[Any, ...]] = {"logits": (self.classes,)}
        if kept.scores:
            shapes["scores"] = (layers, self.heads, tokens, tokens)
        if kept.hidden:
            shapes["hidden"] = (layers, tokens, self.width)
        if kept.cls:
            shapes["cls"] = (layers, self.width)
        return shapes

    def values(self, tokens: NDArray[np.int64] | int) -> NDArray[np.int64] | int:
        """Count of numbers in the record of a row of `tokens` tokens."""
        return sum(math.prod(shape) for shape in self.shapes(tokens).values())

    def as_json(self) -> dict[str, object]:
        """The fields as JSON holds them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def first_difference(self, stored: Mapping[str, object]) -> str | None:
        """Names the first field in which a stored key differs."""
        mine = self.as_json()
        for name in ("format", *(field.name for field in fields(self))):  # another format explains all that follows
            if stored.get(name) != mine[name]:
                return f"{name} {stored.get(name)!r}, now {mine[name]!r}"
        return None


@dataclass(frozen=True)
class CachePlan:
    """The decision for a run, with the estimates behind it.

    Attributes:
        content: a CacheContent, or CacheMode.OFF.
        logits_bytes: estimated size of logits alone.
        full_bytes: estimated size with the wanted states of layers.
        budget: bytes allowed.
        taken: bytes of the budget that other records use.
        predicts: whether the teacher has logits to keep.
        wanted: the content of `full_bytes`.
    """

    content: CacheContent | CacheMode
    logits_bytes: int
    full_bytes: int
    budget: int
    taken: int = 0
    predicts: bool = True
    wanted: CacheContent = CacheContent.FULL

    def __str__(self) -> str:
        sizes = [f"logits {shown_bytes(self.logits_bytes)}"] if self.predicts else []
        if self.wanted.of_layers:
            kept = self.wanted
            states = {"attention scores": kept.scores, "hidden states": kept.hidden, "[CLS] states": kept.cls}
            named = " and ".join(name for name, wanted in states.items() if wanted)
            sizes.append(f"{'with ' if self.predicts else ''}{named} {shown_bytes(self.full_bytes)}")
        taken = f", of which other records there take {shown_bytes(self.taken)}" if self.taken else ""
        return f"teacher cache: {self.content} ({', '.join(sizes)}, budget {shown_bytes(self.budget)}{taken})"

    def beyond_budget(self) -> str:
        """The first half of a refusal of a full cache that does not fit; the remedy follows."""
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
        mode: what the user asked for; full is decided as auto is, and its caller refuses a plan that keeps less.
        lengths: tokens of a sample of rows.
        rows: rows of the data set.
        key: key of a cache with all wanted states of layers.
        budget: bytes.
        taken: bytes of the budget that other records use.

    Returns:
        The decision; `auto` keeps logits always and the rest when its estimate fits.
    """
    size = np.dtype(key.dtype).itemsize
    entry = INDEX.itemsize
    full = int(np.mean(np.asarray(key.values(lengths.astype(np.int64)))) * size * rows) + entry * rows
    logits = (key.classes * size + entry) * rows
    fits = full + taken <= budget
    content: CacheContent | CacheMode = CacheMode.OFF
    if mode is not CacheMode.OFF:
        content = CacheContent.LOGITS if mode is CacheMode.LOGITS or not fits else key.kept
    return CachePlan(content, logits, full, budget, taken, key.classes > 0, key.kept)


def default_budget(folder: Path, there: int = 0) -> int:
    """The smaller of 20 GB and half of the disk space that would be free without the caches in a folder.

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
        parts: `logits` (C,), and where the cache keeps them `scores` (L, h, T, T) and `hidden` (L, T, d), padded, and
            `cls` (L, d).

    Returns:
        Flat, in the key's dtype.
    """
    flat = [parts[name][tuple(map(slice, shape))].ravel() for name, shape in key.shapes(tokens).items()]
    with np.errstate(over="ignore"):  # an overflow is found, and named, by the caller
        return np.concatenate(flat).astype(key.dtype)


def unpack(key: CacheKey, tokens: int, record: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
    """Views of a record: the arrays of `CacheKey.shapes`, by name."""
    parts, start = {}, 0
    for name, shape in key.shapes(tokens).items():
        stop = start + math.prod(shape)
        parts[name] = record[start:stop].reshape(shape)
        start = stop
    return parts
