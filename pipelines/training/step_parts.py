"""Into how many parts all processes together cut a step: dropout is drawn for each, so a run keeps their number."""

from __future__ import annotations

import os

PARTS = "parts"  # their number in run.json


def processes() -> int:
    """Processes of the run, as torchrun tells them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def kept_parts(earlier: int | None, usual: int) -> int:
    """Parts that each process cuts its share of a step into, where none were typed.

    Args:
        earlier: parts of all processes at an earlier start, kept where the processes can share them; None for none.
        usual: parts of each process at a first start.
    """
    return earlier // processes() if earlier and earlier % processes() == 0 else usual
