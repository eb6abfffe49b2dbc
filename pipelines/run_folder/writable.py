"""Whether a folder can be written to, told beforehand and without writing: for plans, and before models are loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipelines.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


def refuse_unwritable(folder: Path, option: str) -> None:
    """Refuses a folder that may not be written to, or that cannot be made.

    Args:
        folder: need not exist yet.
        option: that names it, for the message.

    Raises:
        UserError: naming what stands in the way.
    """
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        found = "a file" if place == folder.absolute() else f"the file {place} above it"
    elif not os.access(place, os.W_OK | os.X_OK):
        found = f"that {place} cannot be"
    else:
        return
    raise UserError(
        f"{option} {folder}: expected a directory that can be written to, found {found}; choose another one"
    )
