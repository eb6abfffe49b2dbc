"""What comes of a job: what its first start resolves, what its stages did, what metrics.json says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distill.metrics import Scores


@dataclass(frozen=True)
class StageResult:
    """What came of a stage, as stage.json and metrics.json have it.

    Args:
        steps: done.
        examples: seen.
        rows: of its data.
        seconds: that it took.
        best_step: whose weights were kept; None for the last.
        graph_steps: steps that ran as CUDA graphs; nearly all of them do on a GPU.
    """

    steps: int
    examples: int
    rows: int
    seconds: float
    best_step: int | None
    graph_steps: int = 0


@dataclass(frozen=True)
class Resolved:
    """What the first start decides or measures, as run.json has it; None, which is left out, where a job has no such.

    Args:
        layer_map: teacher layers that the student's learn from.
        student_start: random, teacher-layers, first-layers, or a folder.
        teacher_dev: dev part -> metric -> value of the teacher.
        sequences, pairs, tokens: of a packed corpus.
        truncated_share: of the rows that are longer than the model is given.
        cache: the decision on the teacher cache.
        device: cpu or cuda.
        estimated_seconds: of all stages.
    """

    layer_map: tuple[int, ...] | None = None
    student_start: str | None = None
    teacher_dev: Scores | None = None
    sequences: int | None = None
    pairs: int | None = None
    tokens: int | None = None
    truncated_share: float | None = None
    cache: Any = None
    device: str = ""
    estimated_seconds: float = 0.0


@dataclass(frozen=True)
class Metrics:
    """What metrics.json of a job says beside the files' digests; each job has a dataclass of it."""


@dataclass(frozen=True)
class Result:
    """A trained model, for its card and metrics.

    Args:
        dev: part -> metric -> value; empty without a labelled dev part, or where the last stage was left out.
        stages: stage -> what came of it, those that were trained.
        resolved: by the first start.
        parameters: of the model.
        teacher_parameters: of its teacher.
        taught: whether the last stage was trained.
        folder: of the job.
    """

    dev: Scores = field(default_factory=dict)
    stages: dict[str, StageResult] = field(default_factory=dict)
    resolved: Resolved = field(default_factory=Resolved)
    parameters: int = 0
    teacher_parameters: int = 0
    taught: bool = True
    folder: Path = Path()
