"""`tinyaug cache-teacher --dry-run`: what filling the cache would cost, with files in a folder that is thrown away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.distilling.checks import check_distill
from pipelines.distilling.session import load_teacher, training_rows, training_stream
from pipelines.run_folder.stage_folder import METRICS, refuse_other_run, stage_storage, started_run
from pipelines.run_folder.storage import Storage
from pipelines.teacher_cache.cache_job import AFRESH, KIND, cache_content, check_mode, decision_for, kept_content
from pipelines.teacher_cache.room import CONTENTS, bytes_of, cache_room
from pipelines.training.cut_texts import cut_texts
from pipelines.training.estimates import StageEstimate, TrainingEstimate, layer_map_note, subset_note
from pipelines.training.measure import NOTHING, sample_batches, teacher_cost
from pipelines.training.recipe import StageRecipe
from pipelines.training.teacher_kernel import pack_teacher

if TYPE_CHECKING:
    from distill.shards import ShardStream
    from distill.teacher import Teacher
    from pipelines.found import Found
    from pipelines.training.request import DistillRequest


def plan_teacher_cache(request: DistillRequest, folder: str, found: Found) -> TrainingEstimate:
    """What running the teacher over all training rows would cost; rows that are there already are not left out.

    Args:
        request: what the user asked for.
        folder: for what has to lie somewhere meanwhile.
        found: what the command has found already.

    Raises:
        UserError, AugmentError, DistillError: something cannot be used.
    """
    from distill.cache_format import CacheContent
    from distill.teacher import Wanted

    check_mode(request)
    storage, reading = stage_storage(request.out, "a teacher cache"), request.reading
    started = started_run(storage, KIND, overwrite=False)
    checked = check_distill(request, found)
    if request.cache.rebuild:
        started, request, storage = None, _with_budget(request, storage), Storage(f"{folder}/caches")
    elif started is not None:
        done = storage.size(METRICS) is not None
        refuse_other_run(storage, started, cache_content(request, checked), done, AFRESH)
    teacher = load_teacher(request, checked)
    pack_teacher(teacher)
    place = training_rows(request, checked, Storage(folder))
    stream = training_stream(request, checked, place, request.intermediate.batch_rows)
    decision = decision_for(request, teacher, stream, storage, started)
    content = kept_content(request, decision)
    kept = CacheContent(content)
    wanted = Wanted(logits=True, hidden=kept.hidden, scores=kept.scores)
    done = started is not None and _is_filled(request, teacher, stream, storage, content)
    cost = NOTHING if done else teacher_cost(teacher, wanted, sample_batches(stream), request.machine)
    rows, recipe = len(stream), StageRecipe(1, request.intermediate.batch_rows, request.intermediate.learning_rate)
    stage = StageEstimate("teacher", recipe, rows, cost, rows, reading.seed, done)
    needed = 0 if done else max(0, decision.bytes - bytes_of(storage.local_folder() / content))
    cut = cut_texts(stream)
    notes = subset_note(request.named_rows, rows) + layer_map_note(checked.student.layer_map) + cut.notes
    return TrainingEstimate((stage,), decision.words, needed, 0, notes, cut.facts)


def _is_filled(request: DistillRequest, teacher: Teacher, stream: ShardStream, storage: Storage, content: str) -> bool:
    from distill.targets import cache_key

    key = cache_key(teacher, stream, content)
    return cache_room(request.cache, storage.local_folder(), key, stream).filled


def _with_budget(request: DistillRequest, storage: Storage) -> DistillRequest:
    """The request with the budget that it will have when all that lies there is gone."""
    from distill.cache_format import default_budget

    if request.cache.budget is not None:
        return request
    root = storage.local_folder()
    budget = default_budget(root, sum(bytes_of(root / content) for content in CONTENTS))
    return replace(request, cache=replace(request.cache, budget=budget))
