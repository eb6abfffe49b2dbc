"""Data augmentation by Algorithm 1 of the TinyBERT paper: candidates from a masked LM and GloVe, drawn variants.

Imports torch, transformers, pyarrow, numpy and `glove` only. The disk is touched in `files` (finding and checking a
model's folder) and `masked_lm` (loading it), nowhere else.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augment.errors import AugmentError, SkippedTextsWarning

if TYPE_CHECKING:
    from augment.augmenter import Augmenter, Edit, Variant
    from augment.tables import augment_table

HOMES = {"augmenter": ("Augmenter", "Edit", "Variant"), "tables": ("augment_table",)}  # by module
__all__ = ["AugmentError", "Augmenter", "Edit", "SkippedTextsWarning", "Variant", "augment_table"]


def __getattr__(name: str) -> Any:
    """Loads a public name's module on first use, so that `import augment` does not cost the import of torch."""
    for home, names in HOMES.items():
        if name in names:
            _refuse_hidden_glove()
            return getattr(import_module(f"augment.{home}"), name)
    raise AttributeError(f"module 'augment' has no attribute {name!r}")


def _refuse_hidden_glove() -> None:
    """Names a glove.py of the user's, such as the script that runs, which Python finds before our package."""
    found = find_spec("glove")
    ours = Path(__file__).parents[1] / "glove"
    if found is None or found.origin is None or Path(found.origin).resolve().parent != ours.resolve():
        place = found and found.origin
        raise ImportError(f"expected the package {ours}, which `augment` needs; found {place}: rename that file")
