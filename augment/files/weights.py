"""What a model's weight files hold, by their headers and names alone."""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

from augment.errors import AugmentError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LENGTH_BYTES = 8  # a safetensors file begins with the length of its header
HEADS = {
    "bert": "cls.predictions",
    "mobilebert": "cls.predictions",
    "distilbert": "vocab_",
    "electra": "generator_",
    "mpnet": "lm_head",
    "ernie": "cls.predictions",
    "nomic_bert": "cls.predictions",
    "roberta": "lm_head",
    "xlm-roberta": "lm_head",
    "camembert": "lm_head",
    "data2vec-text": "lm_head",
    "roberta-prelayernorm": "lm_head",
    "modernbert": "decoder",
}  # in the names of the head's tensors, by model type
FAMILIES = tuple(HEADS)  # all but the last have word embeddings, by these names: alone or in their model
WORD_EMBEDDINGS = re.compile(
    rf"(?<![^.])(?:(?:{'|'.join(FAMILIES).replace('-', '[-_]')})\.)?embeddings\.word_embeddings\.weight$"
)
SAID = 3  # of a checkpoint's entries


def check_weights(folder: Path, who: str, model_type: str, head_needed: bool = False) -> None:
    """Refuses weights that are cut short, or saved under a wrapper's names or inside a training checkpoint.

    Of pickled weights only the names are read.

    Args:
        folder: a Hugging Face model folder.
        who: the model, for messages.
        model_type: as its configuration says; names are compared for those of `FAMILIES`.
        head_needed: whether safetensors files must hold the masked-LM head, for the types of `HEADS`.

    Raises:
        AugmentError: naming the file, the wrapper's prefix or the checkpoint's entries, and what to save.
    """
    tensors: list[str] = []
    safe = [folder / WEIGHTS] if (folder / WEIGHTS).exists() else _parts(folder, who)
    for path in safe or sorted(folder.glob("pytorch_model*.bin")):
        state = _tensors(path, who) if safe else _pickled(path)
        if not safe:
            _refuse_checkpoint(state, f"{who}: expected weights by name in {path.name}")
        prefix = _wrapper(state) if model_type in FAMILIES else ""
        if prefix:
            own = next(name for name in state if name.startswith(prefix)).removeprefix(prefix)
            raise AugmentError(
                f"{who}: expected names such as {own} in {path.name}, found {prefix}{own}, as a wrapper has them "
                "(DataParallel, torch.compile, a module of a training framework); save the state_dict() of what the "
                f"wrapper has under {prefix.removesuffix('.')!r}"
            )
        tensors += state
    head = HEADS.get(model_type) if head_needed and safe else None
    if head is not None and not any(head in tensor for tensor in tensors):
        raise AugmentError(
            f"{who}: expected a model with a masked-LM head, found no weights for {head}; an encoder alone cannot "
            "propose words: choose a masked LM such as bert-base-uncased"
        )


def _refuse_checkpoint(state: dict[str, Any], expected: str) -> None:
    """Refuses entries that are no tensors, such as an epoch or an optimizer's state."""
    others = [name for name, value in state.items() if not hasattr(value, "shape") and "." not in name]
    if others:
        inside = next((name for name in others if isinstance(state[name], dict) and _are_weights(state[name])), None)
        weights = f"checkpoint[{inside!r}]" if inside else "model.state_dict()"
        raise AugmentError(
            f"{expected}, found a training checkpoint with {', '.join(others[:SAID])}{', …' * (len(others) > SAID)}; "
            f"save the weights alone, such as torch.save({weights}, …)"
        )


def _are_weights(entries: dict[Any, Any]) -> bool:
    return any(str(name).endswith(".weight") for name in entries)


def _wrapper(names: Iterable[str]) -> str:
    """What stands before all the model's own names for its word embeddings; nothing where one has its own name."""
    before = [name[: found.start()] for name in names if (found := WORD_EMBEDDINGS.search(name))]
    return before[0] if all(before) and before else ""


def _pickled(path: Path) -> dict[str, Any]:
    """The entries of a pickled state_dict by name, tensors without their numbers; empty where it cannot be read."""
    import torch

    try:
        found = torch.load(path, map_location="meta", weights_only=True, mmap=zipfile.is_zipfile(path))
        return {str(name): value for name, value in found.items()}
    except Exception:  # whatever a damaged pickle raises; the user is told when it is loaded
        return {}


def _parts(folder: Path, who: str) -> list[Path]:
    if not (folder / INDEX).exists():
        return []
    try:
        found = [
            folder / part for part in sorted(set(json.loads((folder / INDEX).read_bytes())["weight_map"].values()))
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AugmentError(f"{who}: {INDEX} cannot be read: {error}; copy the folder again") from error
    missing = [path.name for path in found if not path.exists()]
    if missing:
        raise AugmentError(
            f"{who}: expected the weights that {INDEX} names, found no {missing[0]}; copy the folder again"
        )
    return found


def _tensors(path: Path, who: str) -> dict[str, Any]:
    """The header of a safetensors file, tensors by name; the file's size must be what it says."""
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
            header = json.loads(stream.read(length) if length <= size else b"")
        header.pop("__metadata__", None)
        end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise AugmentError(
            f"{who}: {path.name} cannot be loaded: expected a safetensors file, found no header of one in its "
            f"{size:,} bytes; copy or download the folder again"
        ) from error
    if size != LENGTH_BYTES + length + end:
        raise AugmentError(
            f"{who}: {path.name} cannot be loaded: expected {LENGTH_BYTES + length + end:,} bytes as its header says, "
            f"found {size:,}; it was not copied whole: copy or download the folder again"
        )
    return dict(header)
