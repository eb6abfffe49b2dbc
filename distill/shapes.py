"""The shapes of students: the paper's, a part of the teacher's own, layers and a width, or any config.json."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, BertConfig

from distill.config_checks import UNREADABLE, check_buildable, reason
from distill.errors import DistillError
from distill.families import feed_forward_name, has_known_layers, set_layers, set_widths
from distill.shape_names import HALF, LAYERS, NEARLY_SIZED, SIZED

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedConfig


@dataclass(frozen=True)
class Shape:
    """A student of section 4.1: M layers, width d', feed-forward width d'_i, h heads, and its general start."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    general: str


SHAPES = {
    "tinybert4": Shape(4, 312, 1200, 12, "huawei-noah/TinyBERT_General_4L_312D"),
    "tinybert6": Shape(6, 768, 3072, 12, "huawei-noah/TinyBERT_General_6L_768D"),
}
NAMED_SHAPES = (*SHAPES, HALF)


def student_config(shape: str, teacher: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of a student of `shape` for this teacher.

    Args:
        shape: tinybert4, tinybert6, half (the teacher's widths and heads, half its layers), layers:N (N layers of the
            teacher's widths and heads), LxW (L layers of width W: feed-forward layers as wide in proportion as the
            teacher's, and as many heads where their number divides W, else the nearest number that does), or a
            config.json or folder with one.
        teacher: the teacher's configuration: a named shape takes its family, vocabulary and positions from it, and
            every student takes its labels. Beside a teacher of an unknown family the presets are BERTs.

    Raises:
        DistillError: unknown shape, a file that cannot be read or describes no encoder, half of a teacher of one layer.
    """
    chosen, sized, preset = LAYERS.fullmatch(shape), SIZED.fullmatch(shape), SHAPES.get(shape)
    if shape.startswith("layers:") and chosen is None:
        raise DistillError(f"expected a student layers:N with N of 1 or more; found {shape!r}. Give their number.")
    if sized is None and NEARLY_SIZED.fullmatch(shape) and not Path(shape).exists():
        raise DistillError(
            f"expected a student LxW of 1 or more layers and a width from 1 to 99999; found {shape!r}. Give both "
            "numbers, such as 2x144."
        )
    named = shape in NAMED_SHAPES or chosen is not None or sized is not None
    if named and not preset and not has_known_layers(teacher):
        raise DistillError(
            f"expected a student with a shape of its own beside a teacher of the type {teacher.model_type!r}; found "
            f"{shape}. Start from the folder of an encoder with its tokenizer."
        )
    like = teacher if has_known_layers(teacher) else BertConfig()  # general students are BERTs
    config = _like(like) if named else read_config(shape, partial(_no_shape, shape))
    take_labels(config, teacher)
    if preset:
        set_layers(config, preset.layers)
        set_widths(config, preset.width, preset.feed_forward, preset.heads)
    elif sized:
        set_layers(config, int(sized[1]))
        set_widths(config, *widths_like(teacher, int(sized[2])))
    elif named:
        set_layers(config, int(chosen[1]) if chosen else teacher.num_hidden_layers // 2)
    if config.num_hidden_layers < 1:
        raise DistillError(f"expected a teacher of at least 2 layers for the student {HALF}; found 1. Name another.")
    return config


def widths_like(teacher: PreTrainedConfig, width: int) -> tuple[int, int, int]:
    """Width, feed-forward width and heads of a student of some width.

    Args:
        teacher: whose proportions it takes.
        width: of its hidden states.

    Raises:
        DistillError: an odd width beside a teacher whose positions turn pairs of numbers in each head.
    """
    pairs = 2 if getattr(teacher, "rope_parameters", None) else 1
    counts = [count for count in range(1, width // pairs + 1) if width % (count * pairs) == 0]
    if not counts:
        raise DistillError(
            f"expected an even width beside a teacher of the type {teacher.model_type!r}; found {width}. Add 1."
        )
    heads = min(counts, key=lambda count: abs(count - teacher.num_attention_heads))
    return width, round(width * getattr(teacher, feed_forward_name(teacher)) / teacher.hidden_size), heads


def _like(teacher: PreTrainedConfig) -> PreTrainedConfig:
    """A new configuration with the teacher's values, without what belongs to its files."""
    settings = teacher.to_dict()
    for name in ("architectures", "_name_or_path", "dtype", "torch_dtype"):
        settings.pop(name, None)
    return type(teacher)(**settings)


def read_config(source: str, refusal: Callable[[Exception], str]) -> PreTrainedConfig:
    """Reads a configuration and checks that an encoder can be built of it; `refusal` words what cannot be read."""
    try:
        found: PreTrainedConfig = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except UNREADABLE as error:
        wrong_type = isinstance(error, StrictDataclassError)  # it names the setting
        said = f"student {source}: {reason(error)}. Correct its config.json." if wrong_type else refusal(error)
        raise DistillError(said) from error
    check_buildable(found, f"student {source}")
    return found


def _no_shape(shape: str, error: Exception) -> str:
    return (
        f"expected a student {', '.join(NAMED_SHAPES)}, layers:N, LxW (such as 2x144) or a config.json; found "
        f"{shape!r} ({reason(error)}). Give the path of a Hugging Face configuration with its model_type."
    )


def take_labels(config: PreTrainedConfig, source: PreTrainedConfig) -> None:
    """Gives a configuration the labels of another, in place."""
    for name in ("num_labels", "id2label", "label2id", "problem_type"):
        setattr(config, name, getattr(source, name))
