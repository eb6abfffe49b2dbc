"""The student: its shape, its start and the projections to its teacher's widths."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig

from distill.config_checks import UNREADABLE, check_buildable, reason
from distill.errors import DistillError
from distill.outputs import check_family, has_span_head
from distill.projections import Projections, load_projections
from distill.weights import head_class, read_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

LAYER_NUMBER = re.compile(r"(?<=\.layer\.)\d+(?=\.)")  # of every family that distill.outputs supports


class StudentStart(StrEnum):
    """Where the weights come from; any other value is a folder or a name on the hub."""

    GENERAL = "general"
    TEACHER_LAYERS = "teacher-layers"
    FIRST_LAYERS = "first-layers"
    RANDOM = "random"


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
HALF = "half"  # the teacher's own shape with half its layers, rounded down
LAYERS = re.compile(r"layers:([1-9]\d*)")  # the teacher's own shape with as many layers
NAMED_SHAPES = (*SHAPES, HALF)


@dataclass(frozen=True)
class Student:
    """A student ready to be distilled into.

    Attributes:
        model: the encoder with its task head.
        projections: W_h and W_e.
    """

    model: PreTrainedModel
    projections: Projections


def student_config(shape: str, teacher: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of a student of `shape` for this teacher.

    Args:
        shape: tinybert4, tinybert6, half (the teacher's widths and heads, half its layers), layers:N (N layers of the
            teacher's widths and heads), or a config.json or folder with one.
        teacher: the teacher's configuration: a named shape takes its family, vocabulary and positions from it, and
            every student takes its labels.

    Raises:
        DistillError: unknown shape, a file that cannot be read or describes no encoder, half of a teacher of one layer.
    """
    chosen, preset = LAYERS.fullmatch(shape), SHAPES.get(shape)
    if shape.startswith("layers:") and chosen is None:
        raise DistillError(f"expected a student layers:N with N of 1 or more; found {shape!r}. Give their number.")
    named = shape in NAMED_SHAPES or chosen is not None
    config = _like(teacher) if named else _read_config(shape, partial(_no_shape, shape))
    _take_labels(config, teacher)
    if preset:
        config.num_hidden_layers = preset.layers
        config.hidden_size = preset.width
        config.num_attention_heads = preset.heads
        setattr(config, _feed_forward_name(config), preset.feed_forward)
        if hasattr(config, "embedding_size"):
            config.embedding_size = preset.width
    elif named:
        config.num_hidden_layers = int(chosen[1]) if chosen else teacher.num_hidden_layers // 2
    if config.num_hidden_layers < 1:
        raise DistillError(f"expected a teacher of at least 2 layers for the student {HALF}; found 1. Name another.")
    return config


def build_student(
    shape: str,
    start: str,
    teacher: PreTrainedModel,
    layer_map: Sequence[int],
    seed: int = 0,
    masked_lm: bool = False,
    encoder: str | None = None,
) -> Student:
    """Makes the student and its projections.

    Args:
        shape: see student_config; ignored in favour of the folder's own where `start` is a folder or name.
        start: a StudentStart, or a folder (of distill-general, of an earlier stage) or name on the hub.
        teacher: the teacher with its task head.
        layer_map: g(1) … g(M), for teacher-layers.
        seed: of everything that is drawn.
        masked_lm: with a masked-LM head, for general distillation; the teacher has one, too.
        encoder: for first-layers, a folder or name on the hub: the pre-trained encoder whose embeddings, first layers
            and pooler are taken; the head is drawn.

    Returns:
        The student, in training mode, in float32.

    Raises:
        DistillError: unsupported family, weights that cannot be had or do not fit.
    """
    check_family(teacher.config, "teacher")
    config = student_config(shape, teacher.config)
    head = head_class(masked_lm, spans=has_span_head(teacher))
    folder = None
    if (start == StudentStart.FIRST_LAYERS) != (encoder is not None):
        raise DistillError(
            f"expected an encoder where the student starts from first-layers, and only there; found {encoder!r} for "
            f"the start {start}. Give the pre-trained encoder that the teacher was made of."
        )
    if encoder is not None:
        model = _load(encoder, start_config(encoder, config, first_layers=True), seed, head)
    elif start == StudentStart.RANDOM:
        model = _random_model(config, seed, head)
    elif start == StudentStart.TEACHER_LAYERS:
        model = _from_teacher_layers(config, teacher, layer_map, seed, head)
    else:
        source = general_name(shape) if start == StudentStart.GENERAL else start
        model = _load(source, start_config(source, config), seed, head)
        folder = Path(source)
    widths = model.config.hidden_size, teacher.config.hidden_size
    projections = (load_projections(folder, *widths) if folder else None) or Projections(*widths, seed=seed)
    return Student(model.train(), projections)


def general_name(shape: str) -> str:
    """The published general TinyBERT of a preset.

    Raises:
        DistillError: no general TinyBERT of that shape.
    """
    if shape not in SHAPES:
        raise DistillError(
            f"expected a start for the student {shape}; found 'general', which is published only for "
            f"{', '.join(SHAPES)}. Give the folder that general distillation made, or teacher-layers or random."
        )
    return SHAPES[shape].general


def _like(teacher: PreTrainedConfig) -> PreTrainedConfig:
    """A new configuration with the teacher's values, without what belongs to its files."""
    settings = teacher.to_dict()
    for name in ("architectures", "_name_or_path", "dtype", "torch_dtype"):
        settings.pop(name, None)
    return type(teacher)(**settings)


def _read_config(source: str, refusal: Callable[[Exception], str]) -> PreTrainedConfig:
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
        f"expected a student {', '.join(NAMED_SHAPES)}, layers:N or a config.json; found {shape!r} ({reason(error)}). "
        "Give the path of a Hugging Face configuration with its model_type."
    )


def _random_model(config: PreTrainedConfig, seed: int, head: Any) -> PreTrainedModel:
    """Drawn weights; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = head.from_config(config)
    return model.float()


def _from_teacher_layers(
    config: PreTrainedConfig, teacher: PreTrainedModel, layer_map: Sequence[int], seed: int, head: Any
) -> PreTrainedModel:
    """Embeddings, head and the layers g(m) of the teacher."""
    check_equal_widths(config, teacher.config)
    model = _random_model(config, seed, head)
    source = teacher.state_dict()
    chosen: dict[str, Tensor] = {}
    for name in model.state_dict():
        taken = LAYER_NUMBER.sub(lambda found: str(layer_map[int(found[0])] - 1), name)
        if taken not in source:
            raise DistillError(
                f"expected tensor {taken} in the teacher for the student's {name}; found none. "
                "Student and teacher must be of one family."
            )
        chosen[name] = source[taken].detach().float().clone()
    model.load_state_dict(chosen)
    return model


def check_equal_widths(config: PreTrainedConfig, teacher: PreTrainedConfig) -> None:
    """Refuses a student that cannot take over its teacher's layers.

    Raises:
        DistillError: naming what differs.
    """
    for name in ("hidden_size", "num_attention_heads", _feed_forward_name(config), "vocab_size"):
        mine, theirs = getattr(config, name), getattr(teacher, name, None)
        if mine != theirs:
            raise DistillError(
                f"expected the teacher's {name} ({theirs}) to start from its layers; found {mine}. "
                "Use a student of equal widths, or start from general weights."
            )


def start_config(source: str, config: PreTrainedConfig, first_layers: bool = False) -> PreTrainedConfig:
    """The configuration of a general or earlier student, with the labels of the chosen one.

    Args:
        source: its folder, or its name on the hub.
        config: of the chosen student.
        first_layers: take an encoder of as many layers or more, and of it the first ones.

    Raises:
        DistillError: it cannot be read, or is of another shape than the chosen student.
    """
    found = _read_config(source, partial(_cannot_load, source))
    _take_labels(found, config)
    if first_layers:
        found.num_hidden_layers = min(found.num_hidden_layers, config.num_hidden_layers)
    theirs = _sizes(found)
    for name, mine in _sizes(config).items():
        if mine != theirs[name]:
            raise DistillError(
                f"expected {name} {mine} as the chosen student has; found {theirs[name]} in {source}. Choose the "
                "student's shape by that folder's config.json."
            )
    return found


def _load(source: str, config: PreTrainedConfig, seed: int, head: Any) -> PreTrainedModel:
    """Loads an encoder, or the first layers of one; only its head may be missing, and is then drawn from `seed`."""
    try:
        model, _, missing = read_model(head, source, config, seed)
    except (OSError, ValueError, RuntimeError) as error:
        raise DistillError(_cannot_load(source, error)) from error
    if missing:
        raise DistillError(
            f"expected a whole encoder in {source}; {len(missing)} tensors are missing, {missing[0]} first. "
            "They would be drawn at random: give a complete checkpoint."
        )
    return model


def _take_labels(config: PreTrainedConfig, source: PreTrainedConfig) -> None:
    for name in ("num_labels", "id2label", "label2id", "problem_type"):
        setattr(config, name, getattr(source, name))


def _cannot_load(source: str, error: Exception) -> str:
    return (
        f"expected student weights at {source!r}; they cannot be had ({reason(error)}). With a network: "
        f"`hf download {source} --local-dir general` and give that folder; or make a general student with "
        "`tinyaug distill-general`; or start with teacher-layers (equal widths) or random (learns far worse)."
    )


def _sizes(config: PreTrainedConfig) -> dict[str, int]:
    """What makes a student's shape, by names that all families share."""
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads")
    sizes = {name: getattr(config, name) for name in names}
    return {**sizes, "feed-forward size": getattr(config, _feed_forward_name(config))}


def _feed_forward_name(config: PreTrainedConfig) -> str:
    return "hidden_dim" if config.model_type == "distilbert" else "intermediate_size"
