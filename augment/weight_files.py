"""Whether a model's safetensors files are whole and hold a masked-LM head, by their headers alone: without torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from augment.errors import AugmentError

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LENGTH_BYTES = 8  # a safetensors file begins with the length of its header
HEADS = {
    "bert": "cls.predictions",
    "mobilebert": "cls.predictions",
    "distilbert": "vocab_",
    "electra": "generator_",
    "mpnet": "lm_head",
}  # in the names of the head's tensors, by model type


def check_weights(folder: Path, name: str, model_type: str) -> None:
    """Refuses safetensors files that are cut short, or that hold an encoder alone; pickled weights are passed over.

    Args:
        folder: a Hugging Face model folder.
        name: what to call it in messages.
        model_type: as its configuration says; heads are looked for in those of `HEADS`.

    Raises:
        AugmentError: naming the file.
    """
    files = [folder / WEIGHTS] if (folder / WEIGHTS).exists() else _parts(folder, name)
    tensors = [tensor for path in files for tensor in _tensors(path, name)]
    head = HEADS.get(model_type)
    if tensors and head is not None and not any(head in tensor for tensor in tensors):
        raise AugmentError(
            f"masked LM {name}: expected a model with a masked-LM head, found no weights for {head}; an encoder alone "
            "cannot propose words: choose a masked LM such as bert-base-uncased"
        )


def _parts(folder: Path, name: str) -> list[Path]:
    if not (folder / INDEX).exists():
        return []
    try:
        found = [
            folder / part for part in sorted(set(json.loads((folder / INDEX).read_bytes())["weight_map"].values()))
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AugmentError(f"masked LM {name}: {INDEX} cannot be read: {error}; copy the folder again") from error
    missing = [path.name for path in found if not path.exists()]
    if missing:
        raise AugmentError(
            f"masked LM {name}: expected the weights that {INDEX} names, found no {missing[0]}; copy the folder again"
        )
    return found


def _tensors(path: Path, name: str) -> list[str]:
    """Names of the tensors of a file whose size is what its header says."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
        content = stream.read(length) if length <= size else b""
    try:
        header: dict[str, Any] = json.loads(content)
        header.pop("__metadata__", None)
        end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise AugmentError(
            f"masked LM {name}: {path.name} cannot be loaded: expected a safetensors file, found no header of one in "
            f"its {size:,} bytes; copy or download the folder again"
        ) from error
    if size != LENGTH_BYTES + length + end:
        raise AugmentError(
            f"masked LM {name}: {path.name} cannot be loaded: expected {LENGTH_BYTES + length + end:,} bytes as its "
            f"header says, found {size:,}; it was not copied whole: copy or download the folder again"
        )
    return list(header)
