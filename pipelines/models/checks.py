"""Checks of a model's folder before anything is loaded: what serves as teacher, encoder or student."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from augment.files.checks import check_folder
from pipelines.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

TRAINING = ("finetune", "distill", "distill-general")  # verbs that leave a model in their folder
VOCABULARY_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model")


def check_model(folder: Path, who: str) -> None:
    """Refuses a folder that no model can be loaded from.

    Args:
        folder: a Hugging Face model folder.
        who: the model, for messages.

    Raises:
        AugmentError, UserError: a folder without config.json or weights, or with those of a training checkpoint; a
            model still in training.
    """
    refuse_unfinished(folder, who)
    check_folder(folder, who)


def refuse_unfinished(folder: Path, who: str) -> None:
    """Refuses the folder of a training verb that holds no model yet.

    Args:
        folder: of whatever model.
        who: the model, for the message.

    Raises:
        UserError: with the command to go on.
    """
    if (folder / "config.json").is_file():
        return
    try:
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        kind, command = content["kind"], [word for word in content["command"] if word != "--overwrite"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if kind in TRAINING:
        raise UserError(
            f"{who}: expected a finished model, found a `tinyaug {kind}` that is not done yet; wait for it, or go on "
            f"with: {shlex.join(command)}"
        )


def has_vocabulary(folder: Path) -> bool:
    """Whether a folder has a file that a tokenizer gets its words from."""
    return any((folder / name).is_file() for name in VOCABULARY_FILES)


def trained_length(folder: Path) -> int | None:
    """The max_length that a model of ours was trained with; None for any other model."""
    try:
        return int(json.loads((folder / "run.json").read_text())["settings"]["reading"]["max_length"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
