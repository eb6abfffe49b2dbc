"""The files of a corpus folder, at whatever depth and behind whatever link."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

NAMED = 3  # of a folder's entries that are spoken of


@dataclass(frozen=True)
class Listing:
    """What lies in a folder and in those below it.

    Args:
        files: in the order of their paths.
        unread: links to nothing, folders that may not be listed, and what is no file.
    """

    files: list[Path]
    unread: list[Path]


def list_folder(place: Path) -> Listing:
    """Files of a folder and of those in it, linked ones too; names with a leading dot or underscore are passed over.

    A linked folder that is met twice, or that contains itself, is read once: where it really lies, if that is inside.

    Args:
        place: the folder.
    """
    files: list[Path] = []
    unread: list[Path] = []
    seen: set[str] = set()
    starts = [place]  # then the linked folders, as they are met
    for start in starts:
        for name, folders, names in os.walk(start, onerror=lambda error: unread.append(Path(error.filename))):
            real = os.path.realpath(name)
            folders[:] = [] if real in seen else sorted(one for one in folders if not _is_hidden(one))
            if real in seen:
                continue
            seen.add(real)
            folder = Path(name)
            starts += [folder / one for one in folders if (folder / one).is_symlink()]
            for path in (folder / one for one in names if not _is_hidden(one)):
                (files if path.is_file() else unread).append(path)
    return Listing(sorted(files), sorted(unread))


def first_names(place: Path, paths: list[Path]) -> str:
    """The first of some paths in a folder; nothing where there are none."""
    return ", ".join([path.relative_to(place).as_posix() for path in paths[:NAMED]] + ["…"] * (len(paths) > NAMED))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))
