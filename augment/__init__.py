"""Data augmentation by Algorithm 1 of the TinyBERT paper: candidates from a masked LM and GloVe, drawn variants.

Imports torch, transformers, pyarrow, numpy and `glove` only. The disk is touched in `files` (finding and checking a
model's folder) and `masked_lm` (loading it), nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from augment.errors import AugmentError, SkippedTextsWarning

if TYPE_CHECKING:
    from augment.augmenter import Augmenter, Edit, Variant

__all__ = ["AugmentError", "Augmenter", "Edit", "SkippedTextsWarning", "Variant"]


def __getattr__(name: str) -> Any:
    """Loads the public classes on first use, so that `import augment` does not cost the import of torch."""
    if name in __all__:
        from augment import augmenter

        return getattr(augmenter, name)
    raise AttributeError(f"module 'augment' has no attribute {name!r}")
