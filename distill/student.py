"""The student: its shape, its start and the projections to its teacher's widths."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.config_checks import reason
from distill.errors import DistillError
from distill.families import check_family, feed_forward_name, has_known_layers, set_layers
from distill.projections import Projections, load_projections
from distill.shape_names import StudentStart
from distill.shapes import SHAPES, read_config, student_config, take_labels
from distill.task_heads import has_span_head
from distill.weights import head_class, random_model, read_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

LAYER_NUMBER = re.compile(r"(?<=\.layer\.)\d+(?=\.)|(?<=\.layers\.)\d+(?=\.)")  # of every family


@dataclass(frozen=True)
class Student:
    """A student ready to be distilled into.

    Attributes:
        model: the encoder with its task head.
        projections: W_h and W_e.
    """

    model: PreTrainedModel
    projections: Projections


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
    if has_known_layers(teacher.config):
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
        model = random_model(config, seed, head)
    elif start == StudentStart.TEACHER_LAYERS:
        model = _from_teacher_layers(config, teacher, layer_map, seed, head)
    else:
        source = general_name(shape) if start == StudentStart.GENERAL else start
        model = _load(source, start_config(source, config), seed, head)
        folder = Path(source)
    widths = model.config.hidden_size, getattr(teacher.config, "hidden_size", model.config.hidden_size)
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


def _from_teacher_layers(
    config: PreTrainedConfig, teacher: PreTrainedModel, layer_map: Sequence[int], seed: int, head: Any
) -> PreTrainedModel:
    """Embeddings, head and the layers g(m) of the teacher."""
    check_equal_widths(config, teacher.config)
    if kinds := getattr(teacher.config, "layer_types", None):  # a layer that is taken over sees as far as it did
        config.layer_types = [kinds[layer - 1] for layer in layer_map]
    model = random_model(config, seed, head)
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
    for name in ("hidden_size", "num_attention_heads", feed_forward_name(config), "vocab_size"):
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
    found = read_config(source, partial(_cannot_load, source))
    take_labels(found, config)
    if first_layers:
        set_layers(found, min(found.num_hidden_layers, config.num_hidden_layers))
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
    return {**sizes, "feed-forward size": getattr(config, feed_forward_name(config))}
