"""The folder of a teacher cache: the key it belongs to, emptying it, and segments that a kill left unfinished."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np

from distill.cache_format import INDEX, CacheKey
from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


KEY_FILE = "cache.json"


def claim_cache(folder: Path, key: CacheKey, rebuild: bool = False) -> None:
    """Makes a folder the cache of a key, or checks that it already is.

    Args:
        folder: made if needed.
        key: what decides the numbers.
        rebuild: empty a cache of another key instead of refusing it.

    Raises:
        DistillError: the folder holds other files, or a cache of another key.
    """
    if holds_other_files(folder):
        raise DistillError(
            f"expected an empty folder or a teacher cache at {folder}; found other files. Choose another cache folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    difference = key_difference(folder, key)
    if difference is not None:
        if not rebuild:
            raise DistillError(
                f"expected the cache of this run in {folder}; found one with {difference}. Choose another cache "
                "folder, or rebuild it."
            )
        empty_cache(folder)
    if difference is not None or not (folder / KEY_FILE).exists():
        write_json(folder / KEY_FILE, key.as_json())


def holds_other_files(folder: Path) -> bool:
    """Whether the folder holds files but is not a teacher cache, or is a file itself."""
    if not folder.is_dir():
        return folder.exists()
    return not (folder / KEY_FILE).exists() and any(folder.iterdir())


def key_difference(folder: Path, key: CacheKey) -> str | None:
    """Names the first field in which the key of the cache in a folder differs; None without a cache or a difference."""
    path = folder / KEY_FILE
    if not path.exists():
        return None
    try:
        return key.first_difference(json.loads(path.read_text()))
    except (ValueError, AttributeError):
        return "an unreadable key"


def empty_cache(folder: Path) -> None:
    """Drops all records of a cache, those of other data sets too; a folder without a key is left alone."""
    if not (folder / KEY_FILE).exists():
        return
    for suffix in ("*.json", "*.bin", "*.idx"):  # completion records first: they must not outlive the records
        for stale in folder.glob(suffix):
            if stale.name != KEY_FILE:
                stale.unlink()


def cut_to_whole(records: Path, key: CacheKey, rows: int) -> NDArray[np.int64]:
    """Cuts a segment whose writer was killed after its last whole record.

    Args:
        records: the segment's `.bin`; its `.idx` is beside it.
        key: layout of a record.
        rows: of the shard.

    Returns:
        The rows it holds.
    """
    index = records.with_suffix(".idx")
    entries = np.fromfile(index, INDEX) if index.exists() else np.empty(0, INDEX)
    width = np.dtype(key.dtype).itemsize
    values = np.broadcast_to(key.values(entries["tokens"].astype(np.int64)), entries.shape)
    ends = np.cumsum(values)
    there = records.stat().st_size // width if records.exists() else 0
    whole = (entries["offset"] == ends - values) & (ends <= there) & (entries["tokens"] > 0)
    whole &= (entries["row"] >= 0) & (entries["row"] < rows)
    count = len(entries) if whole.all() else int(np.argmin(whole))
    for path, size in ((index, count * INDEX.itemsize), (records, int(ends[count - 1]) * width if count else 0)):
        if path.exists() and size:
            os.truncate(path, size)
        else:
            path.unlink(missing_ok=True)
    return entries["row"][:count]


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Writes a file under a temporary name, syncs it and renames it, so that a kill never leaves half of it."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
