"""What a distillation would cost, measured with its own models on its own rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.training.distill_session import (
    CacheDecision,
    decide_cache,
    loss_settings,
    taught_examples,
    training_stream,
)
from pipelines.training.empty_texts import empty_note
from pipelines.training.estimates import StageEstimate, TrainingEstimate, layer_map_note, subset_note, weights_bytes
from pipelines.training.measure import sample_batches, stage_cost

if TYPE_CHECKING:
    from pathlib import Path

    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.training.distill_checks import CheckedDistill
    from pipelines.training.request import DistillRequest


@dataclass(frozen=True)
class DistillPlan:
    """The plan of a distillation.

    Args:
        cache: what will be kept.
        estimate: steps, examples, bytes and time.
    """

    cache: CacheDecision
    estimate: TrainingEstimate


def plan_distill(
    request: DistillRequest,
    checked: CheckedDistill,
    teacher: Teacher,
    student: Student,
    place: str,
    caches: Path,
    rows: int | None = None,
) -> DistillPlan:
    """Decides on the cache and measures each stage for a few seconds; writes nothing.

    Args:
        request: what the user asked for.
        checked: its parts.
        teacher: the teacher.
        student: the student as it starts; unchanged.
        place: where the training rows lie.
        caches: folder of the caches.
        rows: of the training data, where `place` is only a sample of what is still to be made.

    Raises:
        DistillError: student and teacher do not fit, or the cache does not fit its budget.
    """
    from distill.objectives import IntermediateStage, PredictionStage

    losses, machine, seed = loss_settings(request), request.machine, request.reading.seed
    stream = training_stream(request, checked, place, request.intermediate.batch_rows)
    rows = len(stream) if rows is None else rows
    decision = decide_cache(request, teacher, stream, caches, rows)
    batches = sample_batches(stream)
    stages = []
    for name, kind, recipe in (
        ("intermediate", IntermediateStage, request.intermediate),
        ("prediction", PredictionStage, request.prediction),
    ):
        if recipe.epochs:
            cost = stage_cost(kind(student, teacher, losses), teacher, batches, machine)
            content = decision.intermediate if name == "intermediate" else decision.prediction
            taught = taught_examples(recipe, rows, content, name == "intermediate", seed)
            if name == "prediction" and content == decision.intermediate and request.intermediate.sees_all(rows):
                taught = 0  # the first stage filled it
            stages.append(StageEstimate(name, recipe, rows, cost, taught, seed))
    disk = weights_bytes(student.model.num_parameters(), len(stages))
    notes = subset_note(request.named_rows, rows) + layer_map_note(checked.student.layer_map)
    notes += empty_note(stream)
    return DistillPlan(decision, TrainingEstimate(tuple(stages), decision.words, decision.bytes, disk, notes))
