"""A model as an ordinary Hugging Face folder: safetensors, tokenizer, label names, model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

    from distill.projections import Projections


def save_model(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: Any,
    card: str,
    projections: Projections | None = None,
    max_length: int | None = None,
) -> None:
    """Writes a model that transformers loads without our code, with its card.

    Args:
        folder: an empty one.
        model: with its task head.
        tokenizer: its fast tokenizer.
        card: text of README.md.
        projections: W_h and W_e, for the next stage; a file of their own, no part of the model.
        max_length: tokens at which texts were cut, which the tokenizer then does by itself where it is asked to
            truncate; None leaves it as it is.
    """
    from distill import saving

    if max_length is not None:
        tokenizer.model_max_length = max_length
    saving.save_model(model, tokenizer, folder, projections)
    (folder / "README.md").write_text(card, encoding="utf-8")
