"""Options of the teacher cache."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipelines.options.option import Options, Panel, option

Keep = StrEnum("Keep", ["auto", "full", "logits", "off"])
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_bytes(text: str) -> int:
    """Bytes behind a text such as 20GB, 500 MB or 1000.

    Raises:
        ValueError: saying what is expected.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?\s*", text.upper())
    if found is None:
        raise ValueError("bytes such as 20GB or 500MB")
    return int(float(found[1]) * UNITS[found[2]])


@dataclass(frozen=True, kw_only=True)
class CacheChoice(Options):
    """What of the teacher's outputs is kept.

    Args:
        mode: auto, full, logits or off.
        budget: bytes; None for the smaller of 20 GB and half the free disk.
        folder: where; None for teacher_cache in the output folder.
        rebuild: at the first start, empty the cache that is there, whatever its settings.

    Raises:
        UserError: an unknown mode.
    """

    panel = Panel.CACHE
    mode: Keep = option(
        "What is kept; auto keeps logits, attention and hidden states within the budget.", Keep.auto, "--cache"
    )
    budget: int | None = option(
        "Such as 20GB [the smaller of 20GB and half the free disk].", None, "--cache-budget", read=parse_bytes
    )
    folder: Path | None = option("Folder of the caches [OUT/teacher_cache].", None, "--cache-dir")
    rebuild: bool = option("Empty the cache first; a run that goes on keeps its cache.", False, "--rebuild-cache")


@dataclass(frozen=True, kw_only=True)
class CacheAhead(CacheChoice):
    """A cache that is made ahead, in the verb's own folder."""

    folder: Path | None = None
    rebuild: bool = option("Make the cache anew, whatever is in the folder.", False, "--rebuild-cache")


@dataclass(frozen=True, kw_only=True)
class GeneralCacheChoice(CacheChoice):
    """What general distillation keeps."""

    mode: Keep = option(
        "What is kept; auto keeps attention and hidden states within the budget, nothing beside --mlm-weight or "
        "--mlm-soft; full masks the same tokens in every epoch beside them.",
        Keep.auto,
        "--cache",
        choices=(Keep.auto, Keep.full, Keep.off),
    )
