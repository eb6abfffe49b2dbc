"""Choices that can be judged by themselves, before anything heavy is imported or any model is looked for."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.models.checks import refuse_unfinished
from pipelines.options.models import FIRST_LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.general.request import GeneralRequest
    from pipelines.training.request import DistillRequest

GENERAL, TEACHER_LAYERS, RANDOM = "general", "teacher-layers", "random"
NO_FOLDERS = (GENERAL, TEACHER_LAYERS, FIRST_LAYERS, RANDOM)
DEFAULT_STUDENT = "tinybert4"
HALF = "half"
LAYERS = re.compile(r"layers:([1-9]\d*)")
PRESET_LAYERS = {"tinybert4": 4, "tinybert6": 6}  # as distill.student has them, which takes seconds to import


def student_shape(request: DistillRequest | GeneralRequest) -> str:
    """Preset, config.json or folder that the student is built by: of its start where nothing else was named."""
    named = DEFAULT_STUDENT if request.start in NO_FOLDERS else request.start
    return request.student or named


def check_choices(request: DistillRequest | GeneralRequest) -> None:
    """Refuses a student's file that is none, a layer map or weights that are none or not as many as its layers.

    Raises:
        UserError: naming them.
    """
    from distill.layer_maps import check_count, check_weight_count, check_weight_values, custom_layers

    weights = request.losses.layer_weights
    with _naming(f"--layer-map {request.layer_map}"):
        mapped = custom_layers(request.layer_map)
    with _naming("--layer-weights"):
        check_weight_values(weights or ())
    shape = student_shape(request)
    named = LAYERS.fullmatch(shape)
    layers = int(named[1]) if named else PRESET_LAYERS.get(shape) or _told_layers(shape)
    if layers is None:
        return
    if mapped is not None:
        with _naming(f"--layer-map {request.layer_map}"):
            check_count(mapped, layers)
    if weights is not None:
        with _naming("--layer-weights"):
            check_weight_count(weights, layers)


@contextmanager
def _naming(option: str) -> Iterator[None]:
    """Names the option beside what the library says of its value."""
    from distill.errors import DistillError

    try:
        yield
    except DistillError as error:
        raise UserError(f"{option}: {error}") from error


def _told_layers(shape: str) -> int | None:
    """The layers that a config.json tells; None where that needs the teacher, the hub or transformers."""
    place = Path(shape)
    if place.is_dir():
        refuse_unfinished(place, f"student {shape}")
        place /= "config.json"
    elif not place.exists():
        if shape != HALF and (shape.endswith(".json") or shape.startswith((".", "/", "~")) or "/" not in shape):
            names = ", ".join((*PRESET_LAYERS, HALF, "layers:N"))
            raise UserError(f"--student {shape}: expected {names} or a config.json, found no such file")
        return None
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"--student {shape}: expected a config.json, it cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"--student {shape}: expected a config.json as transformers writes it, found other JSON in it")
    layers = content.get("num_hidden_layers")
    return layers if type(layers) is int and layers > 0 else None
