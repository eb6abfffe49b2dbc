"""Names of students' shapes and starts, and what starts and rates suit them; imports nothing heavy."""

from __future__ import annotations

import re
from enum import StrEnum

HALF = "half"  # the teacher's own shape with half its layers, rounded down
LAYERS = re.compile(r"layers:([1-9]\d*)")  # the teacher's own shape with as many layers
SIZED = re.compile(r"([1-9]\d*)x([1-9]\d{0,4})")  # layers and width; the rest follows from the teacher
NEARLY_SIZED = re.compile(r"-?\d*x-?\d+|-?\d+x")  # meant as SIZED, which it may not be: 0x96, x96, 2x
RANDOM_RATE = 1e-3  # learning rate of a random start: docs/distillation.md has the measurement


class StudentStart(StrEnum):
    """Where the weights come from; any other value is a folder or a name on the hub."""

    GENERAL = "general"
    TEACHER_LAYERS = "teacher-layers"
    FIRST_LAYERS = "first-layers"
    RANDOM = "random"


def start_of(shape: str, own: str) -> str:
    """Where a student starts where the user does not say.

    Args:
        shape: as `distill.shapes.student_config` takes it.
        own: the start of the method.

    Returns:
        A StudentStart, or `own`: no published weights and no teacher's layers fit a shape of its own.
    """
    if SIZED.fullmatch(shape):
        return StudentStart.RANDOM
    of_teacher = shape == HALF or shape.startswith("layers:")
    return StudentStart.TEACHER_LAYERS if own == StudentStart.GENERAL and of_teacher else own
