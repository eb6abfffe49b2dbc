"""Which of a user's files are which part of a custom task."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.tasks.task import listed

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")

_SPELLINGS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
_SHARD = re.compile(r"([A-Za-z]+)([-_.][0-9][-_.0-9A-Za-z]*)?")
"""A part's file: `train`, or one of several: `train-00000-of-00002`."""


def custom_files(data: Path) -> dict[str, tuple[Path, ...]]:
    """The files of each part, several in the order of their names.

    A file is the train part. A folder holds train, dev (or validation) and test files, shards of them
    (`train-00000-of-00002.parquet`), folders of that name, or nothing but Parquet files (all train).

    Raises:
        UserError: If there are none, their format is unknown, or two could be the same part.
    """
    if data.is_file():
        if data.suffix.lower() not in FORMATS:
            raise UserError(f"{data}: expected one of {listed(FORMATS)}, found the suffix {data.suffix!r}.")
        return {"train": (data,)}
    if not data.is_dir():
        raise UserError(f"{data}: expected a file or folder, found nothing there. Name another with --data.")
    for folder in (data, data / "data"):
        if folder.is_dir() and (parts := _parts(folder)):
            return parts
    shards = _readable(data)
    if not shards or any(path.suffix.lower() != ".parquet" for path in shards):
        raise UserError(
            f"{data}: expected train.csv, .tsv, .jsonl or .parquet (and dev, test), or Parquet files alone; "
            f"found {listed(sorted(path.name for path in data.iterdir()))}. Name the file itself with --data."
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
    match = _SHARD.fullmatch(path.stem)
    return match[1].lower() if match else None


def _readable(folder: Path) -> tuple[Path, ...]:
    """Its data files by name; names that start with a dot or underscore are other programs' marks."""
    found = (path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in FORMATS)
    return tuple(sorted(path for path in found if not path.name.startswith((".", "_"))))


def _refuse_unclear(part: str, folder: Path, files: list[Path], folders: list[Path], found: list[Path]) -> None:
    formats = {path.suffix.lower() for path in found}
    whole = [path for path in files if path.stem.isalpha()]
    kinds = {_stem(path) for path in files}
    if len(formats) > 1 or len(folders) + bool(files) > 1 or len(kinds) > 1 or (whole and len(files) > 1):
        raise UserError(
            f"{folder}: expected one file (or shards of one) for the {part!r} part, found "
            f"{listed(path.name for path in (*files, *folders))}. Keep one of them."
        )
