"""What metrics.json of `distill` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.training.results import Metrics

if TYPE_CHECKING:
    from distill.metrics import Scores
    from pipelines.distilling.trimming import Trimmed
    from pipelines.training.results import StageResult


@dataclass(frozen=True)
class DistillMetrics(Metrics):
    """What metrics.json says.

    Args:
        task: its name.
        dev: part -> metric -> value, of the student.
        teacher_dev: the same of the teacher.
        selected_by: the metric that chose the best epoch; None without a dev part.
        best_step: of the last stage, whose weights were kept; None for the last step, or a stage that was left out.
        layer_map: teacher layers that the student's learnt from.
        truncated_share: of the rows that are longer than the model is given.
        parameters: of student and teacher.
        stages: name -> what came of it.
    """

    task: str
    dev: Scores
    teacher_dev: Scores
    selected_by: str | None
    best_step: int | None
    layer_map: tuple[int, ...]
    truncated_share: float | None
    parameters: dict[str, int]
    stages: dict[str, StageResult]


@dataclass(frozen=True)
class TrimmedMetrics(DistillMetrics):
    """The same of a student with a trimmed vocabulary; its other numbers are those of the trimmed one.

    Args:
        trimmed: what its vocabulary lost.
    """

    trimmed: Trimmed
