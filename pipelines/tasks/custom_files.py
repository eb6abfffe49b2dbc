"""Which of a user's files are which part of a custom task."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.tasks.readers.lines import PACKED, split_name
from pipelines.tasks.task import listed

if TYPE_CHECKING:
    from pathlib import Path

ARROW = (".arrow", ".feather")
TEXT_FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
FORMATS = (*TEXT_FORMATS, ".parquet", *ARROW)

_SPELLINGS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
_SHARD = re.compile(r"([A-Za-z]+)([-_.][0-9][-_.0-9A-Za-z]*)?")
"""A part's file: `train`, or one of several: `train-00000-of-00002`."""


def custom_files(data: Path) -> dict[str, tuple[Path, ...]]:
    """The files of each part, several in the order of their names.

    A file is the train part. A folder holds train, dev (or validation) and test files, shards of them
    (`train-00000-of-00002.parquet`), folders of that name, or nothing but Parquet or Arrow files (all train); it may
    have been written by `save_to_disk` of `datasets`.

    Raises:
        UserError: If there are none, their format is unknown, or two could be the same part.
    """
    if data.is_file():
        if not _format(data):
            found = f"found the suffix {data.suffix!r}"
            raise UserError(f"{data}: expected one of {listed(FORMATS)} (text also in {listed(PACKED)}), {found}.")
        return {"train": (data,)}
    if not data.is_dir():
        raise UserError(f"{data}: expected a file or folder, found nothing there. Name another with --data.")
    for folder in (data, data / "data"):
        if folder.is_dir() and (parts := _parts(folder)):
            return parts
    shards = _readable(data)
    if not shards or len({_format(path) for path in shards}) > 1 or _format(shards[0]) in TEXT_FORMATS:
        raise UserError(
            f"{data}: expected a file named train (and dev, test) with a suffix of {listed(FORMATS)}, or Parquet or "
            f"Arrow files alone; found {listed(sorted(path.name for path in data.iterdir()))}. Name the file itself "
            "with --data."
        )
    return {"train": shards}


def _parts(folder: Path) -> dict[str, tuple[Path, ...]]:
    parts = {}
    for part, spellings in _SPELLINGS.items():
        files = [path for path in _readable(folder) if _stem(path) in spellings]
        folders = [folder / name for name in spellings if (folder / name).is_dir()]
        if found := [*files, *(path for inner in folders for path in _readable(inner))]:
            _refuse_unclear(part, folder, files, folders, found)
            parts[part] = tuple(found)
    return parts


def _stem(path: Path) -> str | None:
    match = _SHARD.fullmatch(split_name(path)[0])
    return match[1].lower() if match else None


def _format(path: Path) -> str:
    """The suffix that says how a file is read; empty where it is not one of ours, as of packed Parquet."""
    suffix = split_name(path)[1]
    known = TEXT_FORMATS if path.suffix.lower() in PACKED else FORMATS
    return suffix if suffix in known else ""


def _readable(folder: Path) -> tuple[Path, ...]:
    """Its data files by name; names that start with a dot or underscore are other programs' marks."""
    if (saved := _saved(folder)) is not None:
        return saved
    found = (path for path in folder.iterdir() if path.is_file() and _format(path))
    return tuple(sorted(path for path in found if not path.name.startswith((".", "_"))))


def _saved(folder: Path) -> tuple[Path, ...] | None:
    """The files of a data set that `datasets` saved to disk, whose folder may hold its caches, too; None of another.

    Raises:
        UserError: If one is missing, or they are rows that a file of indices picks from.
    """
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        files = tuple(folder / entry["filename"] for entry in state["_data_files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if state.get("_indices_data_files"):
        raise UserError(f"{folder}: expected rows in order, found a file of indices. Save flatten_indices() of it.")
    if missing := [path.name for path in files if not path.is_file()]:
        raise UserError(f"{folder}: expected {listed(missing)} as state.json says, found none. Copy it again.")
    return files


def _refuse_unclear(part: str, folder: Path, files: list[Path], folders: list[Path], found: list[Path]) -> None:
    formats = {_format(path) for path in found}
    whole = [path for path in files if split_name(path)[0].isalpha()]
    kinds = {_stem(path) for path in files}
    if len(formats) > 1 or len(folders) + bool(files) > 1 or len(kinds) > 1 or (whole and len(files) > 1):
        raise UserError(
            f"{folder}: expected one file (or shards of one) for the {part!r} part, found "
            f"{listed(path.name for path in (*files, *folders))}. Keep one of them."
        )
