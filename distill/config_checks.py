"""Configurations that users write: what keeps one from being read, and whether an encoder can be built of it."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from huggingface_hub.errors import StrictDataclassError

from distill.errors import DistillError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError)  # of AutoConfig
SIZES = (
    "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "hidden_dim", "embedding_size",
    "vocab_size", "max_position_embeddings", "type_vocab_size",
)  # fmt: skip


def reason(error: Exception) -> str:
    """The message of a library's error, in one line."""
    if isinstance(error, KeyError):
        return f"unknown {error}"
    lines = str(error).strip().split("\n")
    first = lines[:2] if lines[0].endswith(":") else lines[:1]
    return " ".join(line.strip() for line in first)[:200].rstrip(".") or type(error).__name__


def check_sizes(config: PreTrainedConfig, who: str) -> None:
    """Refuses sizes that no encoder has.

    Args:
        config: of any family.
        who: owner of the configuration, for the message.

    Raises:
        DistillError: naming the setting.
    """
    own_names: dict[str, str] = getattr(config, "attribute_map", None) or {}
    for name in SIZES:
        value = getattr(config, name, None)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise DistillError(
                f"{who}: expected {own_names.get(name, name)} of at least 1; found {value!r}. Correct its config.json."
            )
    width, heads = config.hidden_size, config.num_attention_heads
    if width % heads:
        raise DistillError(
            f"{who}: expected a {own_names.get('hidden_size', 'hidden_size')} that its {heads} attention heads "
            f"divide; found {width}. Correct its config.json."
        )


def check_buildable(config: PreTrainedConfig, who: str) -> None:
    """Builds the model without its weights, so that whatever is wrong shows before anything is loaded.

    Args:
        config: of the student.
        who: owner of the configuration, for messages.

    Raises:
        DistillError: another family, or values that no encoder can be built with.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from distill.families import check_family

    check_family(config, who)
    check_sizes(config, who)
    try:
        with torch.device("meta"):
            AutoModelForSequenceClassification.from_config(deepcopy(config))
    except MemoryError:
        raise
    except Exception as error:  # each layer has errors of its own
        raise DistillError(
            f"{who}: no encoder can be built of it: {reason(error)}. Correct its config.json."
        ) from error
