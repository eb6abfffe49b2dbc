"""What a distillation would cost, measured with its own models on its own rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.distilling.begun import Begun
from pipelines.distilling.session import (
    CacheDecision,
    decide_cache,
    loss_settings,
    taught_examples,
    training_stream,
)
from pipelines.teacher_cache.foreign import refuse_foreign_caches, unused_caches_note
from pipelines.teacher_cache.room import OFF, bytes_of
from pipelines.training.cut_texts import cut_texts
from pipelines.training.estimates import (
    StageEstimate,
    TrainingEstimate,
    idle_embeddings_note,
    layer_map_note,
    subset_note,
    weights_bytes,
)
from pipelines.training.measure import NOTHING, sample_batches, stage_cost

if TYPE_CHECKING:
    from pathlib import Path

    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.distilling.checks import CheckedDistill
    from pipelines.training.request import DistillRequest


@dataclass(frozen=True)
class DistillPlan:
    """The plan of a distillation.

    Args:
        cache: what will be kept.
        estimate: steps, examples, bytes and time.
        truncated: share of the rows that are longer than the model is given, 0 to 1.
    """

    cache: CacheDecision
    estimate: TrainingEstimate
    truncated: float


def plan_distill(
    request: DistillRequest,
    checked: CheckedDistill,
    teacher: Teacher,
    student: Student,
    place: str,
    caches: Path,
    rows: int | None = None,
    begun: Begun | None = None,
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
        begun: what an earlier start left in its folder; None for nothing.

    Raises:
        UserError: a folder of caches is another run's, or the cache does not fit its budget.
        DistillError: student and teacher do not fit.
    """
    from distill.objectives import IntermediateStage, PredictionStage

    begun = begun or Begun()
    losses, machine, seed = loss_settings(request), request.machine, request.reading.seed
    stream = training_stream(request, checked, place, request.intermediate.batch_rows)
    whole, rows = rows is None, len(stream) if rows is None else rows
    decision = begun.cache or decide_cache(request, teacher, stream, caches, rows)
    contents = {decision.intermediate, decision.prediction}
    if whole and "prediction" not in begun.done:  # of what is finished no cache is read
        refuse_foreign_caches(request.cache, teacher, stream, contents, caches)
    batches = sample_batches(stream)
    stages = []
    for name, kind, recipe in (
        ("intermediate", IntermediateStage, request.intermediate),
        ("prediction", PredictionStage, request.prediction),
    ):
        if recipe.epochs:
            done = name in begun.done
            cost = NOTHING if done else stage_cost(kind(student, teacher, losses), teacher, batches, machine)
            content = decision.intermediate if name == "intermediate" else decision.prediction
            taught = taught_examples(recipe, rows, content, name == "intermediate", seed)
            if name == "prediction" and content == decision.intermediate and request.intermediate.sees_all(rows):
                taught = 0  # the first stage filled it
            stages.append(StageEstimate(name, recipe, rows, cost, taught, seed, done))
    left = [stage for stage in stages if not stage.done]
    there = 0 if begun.cache is None else sum(bytes_of(caches / content) for content in contents)
    needed = max(0, decision.bytes - there)
    disk = weights_bytes(student.model.num_parameters(), len(stages)) if left else 0
    notes = checked.data.notes() if checked.train is None else ()
    notes += subset_note(request.named_rows, rows) + layer_map_note(checked.student.layer_map)
    notes += idle_embeddings_note(checked.student.config.vocab_size, len(checked.teacher.tokenizer))
    cut = cut_texts(stream)
    notes += cut.notes
    if decision.intermediate == OFF:
        notes += unused_caches_note(request.cache, contents, caches)
    needed = needed if left else 0
    estimate = TrainingEstimate(tuple(stages), decision.words, needed, disk, notes, cut.facts)
    return DistillPlan(decision, estimate, cut.share)
