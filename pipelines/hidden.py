"""Files of the user's that Python finds in place of our packages: their names are those of usual scripts."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

BESIDE = ("augment", "distill", "glove")


def refuse_hidden() -> None:
    """Looks for our packages where Python would, without loading them.

    Raises:
        ImportError: another file is found in place of one, such as an augment.py in the folder of the script that runs.
    """
    for name in BESIDE:
        found, ours = find_spec(name), Path(__file__).parents[1] / name
        if found is None or found.origin is None or Path(found.origin).resolve().parent != ours.resolve():
            place = found and found.origin
            raise ImportError(f"expected the package {ours}; found {place}, which hides it: rename that file")
