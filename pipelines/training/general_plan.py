"""What a general distillation would cost, measured with its own models on the beginning of its own corpus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.storage import Storage
from pipelines.training.distill_session import taught_examples
from pipelines.training.estimates import StageEstimate, TrainingEstimate, layer_map_note, weights_bytes
from pipelines.training.foreign_cache import refuse_foreign_caches
from pipelines.training.general_session import CacheDecision, decide_cache, make_stage, packed_stream
from pipelines.training.measure import sample_batches, stage_cost
from pipelines.training.packed import FOLDER, GROUP_SEQUENCES, pack_corpus
from pipelines.training.reporting import SilentTraining

if TYPE_CHECKING:
    from pathlib import Path

    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.training.general_checks import CheckedGeneral
    from pipelines.training.general_request import GeneralRequest
    from pipelines.training.packed import Packed


@dataclass(frozen=True)
class GeneralPlan:
    """The plan of a general distillation.

    Args:
        sequences: of the corpus.
        tokens: of them.
        known: whether they were counted, not estimated from the corpus's beginning; None: its size is not known.
        cache: what will be kept.
        estimate: steps, examples, bytes and time.
    """

    sequences: int
    tokens: int
    known: bool | None
    cache: CacheDecision
    estimate: TrainingEstimate


def plan_general(
    request: GeneralRequest,
    checked: CheckedGeneral,
    teacher: Teacher,
    student: Student,
    folder: Path,
    packed: Packed,
    caches: Path,
) -> GeneralPlan:
    """Decides on the cache and measures a few steps; writes nothing.

    Args:
        request: what the user asked for.
        checked: its parts.
        teacher: the teacher.
        student: the student as it starts; unchanged.
        folder: where the packed corpus, or its beginning, lies.
        packed: what lies there.
        caches: folder of the caches.

    Raises:
        UserError: the folder of caches is another run's, or the cache does not fit its budget.
        DistillError: student and teacher do not fit.
    """
    sequences, known = _whole(packed, request.corpus.limit)
    stream = packed_stream(request, checked, str(folder / FOLDER), static=True)
    cache = decide_cache(request, teacher, stream, caches, sequences)
    refuse_foreign_caches(request.cache, teacher, stream, {cache.content}, caches)
    cost = stage_cost(make_stage(request, student, teacher), teacher, sample_batches(stream), request.machine)
    seed = request.reading.seed
    taught = taught_examples(request.recipe, sequences, cache.content, True, seed)
    stage = StageEstimate("general", request.recipe, sequences, cost, taught, seed)
    bytes_of = sum(file["bytes"] for file in packed.files.values()) * sequences // packed.sequences
    disk = weights_bytes(student.model.num_parameters()) + bytes_of
    notes = layer_map_note(checked.student.layer_map)
    estimate = TrainingEstimate((stage,), cache.words, cache.bytes, disk, notes)
    return GeneralPlan(sequences, packed.tokens * sequences // packed.sequences, known, cache, estimate)


def plan_from_beginning(request: GeneralRequest, folder: str) -> GeneralPlan:
    """`--dry-run`: packs the beginning of the corpus into a folder that is thrown away.

    Args:
        request: what the user asked for.
        folder: for what has to lie somewhere meanwhile.

    Raises:
        UserError, AugmentError, DistillError: something cannot be used.
    """
    from pipelines.training.distill_job import cache_root
    from pipelines.training.folder import stage_storage, started_run
    from pipelines.training.general_checks import check_general
    from pipelines.training.general_session import load_models

    storage = stage_storage(request.out, "a model")
    started_run(storage, "distill-general", overwrite=False)
    checked = check_general(request)
    sample = Storage(folder)
    most = min(GROUP_SEQUENCES, request.corpus.limit or GROUP_SEQUENCES)
    tokenizer, length = checked.teacher.tokenizer, request.reading.max_length
    packed = pack_corpus(sample, checked.corpus, tokenizer, length, most, SilentTraining())
    teacher, student = load_models(request, checked)
    caches = cache_root(request, storage)
    return plan_general(request, checked, teacher, student, sample.local_folder(), packed, caches)


def _whole(packed: Packed, limit: int | None) -> tuple[int, bool | None]:
    """Sequences of the whole corpus, and whether they were counted."""
    if packed.sequences == limit or packed.done == 1.0:
        return packed.sequences, True
    if packed.done is None:
        return limit or packed.sequences, None
    estimated = round(packed.sequences / max(packed.done, 1e-9))
    return min(estimated, limit or estimated), False
