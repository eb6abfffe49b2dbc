"""Models as ordinary Hugging Face folders; with `folder_lock`, `checkpoints` and the cache, what writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.outputs import RAW_SCORES
from distill.projections import Projections, save_projections

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def save_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, projections: Projections | None = None
) -> None:
    """Writes a model that transformers loads without our code; of `distill.bilstm` with that module imported.

    Args:
        model: teacher or student, with its head; unchanged.
        tokenizer: of the model.
        folder: made if needed.
        projections: W_h and W_e, for a next stage; a file of their own, no part of the model.
    """
    recording = model.config._attn_implementation
    if recording == RAW_SCORES:  # registered here alone
        model.set_attn_implementation("sdpa")
    try:
        model.save_pretrained(folder)
    finally:
        if recording == RAW_SCORES:
            model.set_attn_implementation(recording)
    save_tokenizer(tokenizer, folder)
    if projections is not None:
        save_projections(projections, folder)


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Writes a tokenizer without what transformers keeps of where it was loaded from.

    Args:
        tokenizer: forgets that, too.
        folder: made if needed.
    """
    for name in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(name, None)
    tokenizer.save_pretrained(folder)
