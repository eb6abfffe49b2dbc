"""The families of encoders that distillation knows, and in what they differ where it matters here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from distill.errors import DistillError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# Each is tested against eager attention (tests/distill/test_outputs.py).
FAMILIES = (
    "bert", "roberta", "xlm-roberta", "electra", "distilbert", "camembert", "ernie", "data2vec-text",
    "roberta-prelayernorm", "mobilebert", "mpnet", "modernbert", "eurobert", "nomic_bert",
)  # fmt: skip
AFTER_PADDING = ("roberta", "xlm-roberta", "camembert", "data2vec-text", "roberta-prelayernorm")
FOREIGN_AFTER_PADDING = ("xlm-roberta-xl", "longformer", "ibert")  # of which there are logits alone
WITHOUT_SPANS = ("modernbert", "eurobert", "nomic_bert")  # no head for answers in a text, or another than BERT's
SLIDING = "sliding_attention"  # the kind of ModernBERT's layers whose tokens see a window alone


def has_known_layers(config: PreTrainedConfig) -> bool:
    """Whether a model's layers can be learnt from; of any other family there are its logits alone."""
    return config.model_type in FAMILIES


def has_known_spans(config: PreTrainedConfig) -> bool:
    """Whether transformers gives a model of the family BERT's head for answers in a text."""
    return has_known_layers(config) and config.model_type not in WITHOUT_SPANS


def check_family(config: PreTrainedConfig, who: str = "model") -> None:
    """Refuses models whose outputs were never verified here.

    Args:
        config: of the model.
        who: the model, for the message.

    Raises:
        DistillError: the model is not an encoder of FAMILIES, or its positions change scores in a way that
            transformers does not compute.
    """
    if config.model_type not in FAMILIES:
        raise DistillError(
            f"{who}: expected an encoder of the families {', '.join(FAMILIES)}; found the type {config.model_type!r}. "
            "Use a model of one of these families."
        )
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        raise DistillError(
            f"{who}: expected an encoder; found a decoder (is_decoder or add_cross_attention). Use an encoder."
        )
    positions = getattr(config, "position_embedding_type", "absolute") or "absolute"
    if positions != "absolute":
        raise DistillError(
            f"{who}: expected absolute position embeddings; found {positions!r}, whose extra term in the scores "
            "transformers 5 does not compute. Use a model with absolute positions."
        )


def first_position(config: PreTrainedConfig) -> int:
    """Positions that a model's first token leaves unused: RoBERTa and its kin count from behind the padding's id."""
    if config.model_type == "mpnet":
        return 2  # its padding is always 1
    return (config.pad_token_id or 0) + 1 if config.model_type in AFTER_PADDING + FOREIGN_AFTER_PADDING else 0


def attention_window(config: PreTrainedConfig, layer: int) -> int | None:
    """How many tokens to either side a token sees in a layer; None where it sees all.

    Args:
        config: of the model.
        layer: its number, from 1.
    """
    kinds = getattr(config, "layer_types", None)
    return cast("int", config.sliding_window) if kinds and kinds[layer - 1] == SLIDING else None


def has_windows(config: PreTrainedConfig) -> bool:
    """Whether tokens of some layers see a window alone."""
    return SLIDING in (getattr(config, "layer_types", None) or ())


def set_layers(config: PreTrainedConfig, layers: int) -> None:
    """Gives a model its number of layers; of layers of several kinds (ModernBERT) it keeps the first kinds.

    Args:
        config: changed in place.
        layers: at most as many as it has where it lists their kinds.
    """
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]


def set_widths(config: PreTrainedConfig, width: int, feed_forward: int, heads: int) -> None:
    """Gives a model its widths, and what follows from them.

    Args:
        config: changed in place.
        width: of its hidden states.
        feed_forward: inner width of its feed-forward layers.
        heads: attention heads; each has keys and values of its own.

    Raises:
        DistillError: MobileBERT, whose attention is of another width than its hidden states.
    """
    if config.model_type == "mobilebert":
        raise DistillError(
            "expected a student of half, layers:N or a config.json for a MobileBERT, whose bottlenecks have widths of "
            f"their own; found one of width {width}. Choose one of these."
        )
    config.hidden_size, config.num_attention_heads = width, heads
    setattr(config, feed_forward_name(config), feed_forward)
    implied: dict[str, Any] = {"embedding_size": width, "head_dim": width // heads, "num_key_value_heads": heads}
    for name, value in implied.items():
        if hasattr(config, name):
            setattr(config, name, value)


def feed_forward_name(config: PreTrainedConfig) -> str:
    """The setting with the inner width of feed-forward layers."""
    return "hidden_dim" if config.model_type == "distilbert" else "intermediate_size"
