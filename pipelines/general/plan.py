"""What a general distillation would cost, measured with its own models on the beginning of its own corpus."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.corpus.hub import HubCorpus
from pipelines.corpus.packed import FOLDER, GROUP_SEQUENCES, pack_corpus, packed_corpus
from pipelines.distilling.checks import check_disk
from pipelines.distilling.session import taught_examples
from pipelines.general.content import KIND, general_content, refuse_other_general, with_general_parts
from pipelines.general.session import GeneralCache, decide_cache, make_stage, packed_stream
from pipelines.options.data import SENTENCES
from pipelines.reporting import Silent
from pipelines.run_folder.stage_folder import finished_metrics, stage_storage, started_run
from pipelines.run_folder.storage import Storage
from pipelines.teacher_cache.foreign import refuse_foreign_caches
from pipelines.teacher_cache.room import bytes_of
from pipelines.training.estimates import (
    StageEstimate,
    TrainingEstimate,
    idle_embeddings_note,
    layer_map_note,
    weights_bytes,
)
from pipelines.training.measure import NOTHING, sample_batches, stage_cost

if TYPE_CHECKING:
    from pathlib import Path

    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.corpus.packed import Packed
    from pipelines.found import Found
    from pipelines.general.checks import CheckedGeneral
    from pipelines.general.request import GeneralRequest


@dataclass(frozen=True)
class GeneralPlan:
    """The plan of a general distillation.

    Args:
        sequences: of the corpus.
        pairs: how many of them are pairs.
        tokens: of all sequences.
        known: whether they were counted, not estimated from the corpus's beginning; None: its size is not known.
        cache: what will be kept.
        estimate: steps, examples, bytes and time.
    """

    sequences: int
    pairs: int
    tokens: int
    known: bool | None
    cache: GeneralCache
    estimate: TrainingEstimate


@dataclass(frozen=True)
class BegunGeneral:
    """What an earlier start left.

    Args:
        cache: its decision, which holds; None where none was made yet.
        packed: whether the whole corpus lies packed in its folder.
        done: whether nothing is left to do.
    """

    cache: GeneralCache | None = None
    packed: bool = False
    done: bool = False


def plan_general(
    request: GeneralRequest,
    checked: CheckedGeneral,
    teacher: Teacher,
    student: Student,
    folder: Path,
    packed: Packed,
    caches: Path,
    begun: BegunGeneral,
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
        begun: what an earlier start left.

    Raises:
        UserError: the folder of caches is another run's, or the cache does not fit its budget.
        DistillError: student and teacher do not fit.
    """
    sequences, known = (packed.sequences, True) if begun.packed else _whole(packed, request.corpus.limit)
    stream = packed_stream(request, checked, str(folder / FOLDER), static=True)
    cache = begun.cache or decide_cache(request, teacher, stream, caches, sequences)
    cost, needed, disk = NOTHING, 0, 0
    if not begun.done:
        refuse_foreign_caches(request.cache, teacher, stream, {cache.content}, caches)
        cost = stage_cost(make_stage(request, student, teacher), teacher, sample_batches(stream), request.machine)
        needed = cache.bytes if begun.cache is None else max(0, cache.bytes - bytes_of(caches / cache.content))
        corpus_bytes = 0 if begun.packed else _shard_bytes(packed, sequences)
        disk = weights_bytes(student.model.num_parameters()) + corpus_bytes
    seed = request.reading.seed
    taught = taught_examples(request.recipe, sequences, cache.content, True, seed)
    stage = StageEstimate("general", request.recipe, sequences, cost, taught, seed, begun.done)
    notes = layer_map_note(checked.student.layer_map) + _fill_note(request, checked, packed)
    notes += _pairs_note(checked, packed)
    notes += idle_embeddings_note(checked.student.config.vocab_size, len(checked.teacher.tokenizer))
    if checked.corpus.left_out and not begun.packed:  # who packs it says so himself
        notes = (checked.corpus.left_out, *notes)
    estimate = TrainingEstimate((stage,), cache.words, needed, disk, notes)
    pairs, tokens = (found * sequences // packed.sequences for found in (packed.pairs, packed.tokens))
    return GeneralPlan(sequences, pairs, tokens, known, cache, estimate)


def plan_from_beginning(request: GeneralRequest, folder: str, found: Found) -> GeneralPlan:
    """`--dry-run`: packs the beginning of a corpus that is not packed yet into a folder that is thrown away.

    Args:
        request: what the user asked for.
        folder: for what has to lie somewhere meanwhile.
        found: what the command has found already.

    Raises:
        UserError, AugmentError, DistillError: something cannot be used.
    """
    from pipelines.distilling.distill_job import cache_root
    from pipelines.general.checks import check_general
    from pipelines.general.session import load_models

    storage = stage_storage(request.out, "a model")
    there = started_run(storage, KIND, overwrite=False)
    started = None if request.overwrite else there
    request = with_general_parts(request, started)
    checked = check_general(request, found, started)
    begun, packed = BegunGeneral(), None
    if started is not None:
        begun, packed = _begun(storage, started), packed_corpus(storage)
        refuse_other_general(storage, started, general_content(request, checked), begun.done)
    place = storage if packed is not None else Storage(folder)
    packed = packed or _beginning(checked, place)
    models, caches = load_models(request, checked), cache_root(request, storage)
    return plan_general(request, checked, *models, place.local_folder(), packed, caches, begun)


def refuse_by_beginning(
    request: GeneralRequest, checked: CheckedGeneral, teacher: Teacher, root: Path, caches: Path
) -> None:
    """Refuses by the beginning of a long corpus what its whole would be refused for after hours of packing.

    The beginning tells the size of the whole roughly, so half of it must be too much. Of a data set on the hub it
    tells nothing, nor whether records that lie there are this corpus's own.

    Args:
        request: what the user asked for.
        checked: its parts.
        teacher: the teacher.
        root: folder of the run.
        caches: folder of the caches.

    Raises:
        UserError: a full cache was asked for and does not fit, or the disk is too small.
    """
    if isinstance(checked.corpus, HubCorpus) or caches.exists():
        return
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        packed = _beginning(checked, Storage(folder))
        sequences, known = _whole(packed, request.corpus.limit)
        if known:
            return
        stream = packed_stream(request, checked, f"{folder}/{FOLDER}", static=True)
        cache = decide_cache(request, teacher, stream, caches, sequences // 2)
    check_disk(caches, cache.bytes, "the teacher cache")
    check_disk(root, _shard_bytes(packed, sequences // 2), "the packed corpus")


def _begun(storage: Storage, started: dict[str, Any]) -> BegunGeneral:
    cache = GeneralCache(**started["resolved"]["cache"]) if "resolved" in started else None
    return BegunGeneral(cache, packed_corpus(storage) is not None, finished_metrics(storage) is not None)


def _beginning(checked: CheckedGeneral, place: Storage) -> Packed:
    """Packs the first sequences of a corpus."""
    shape = replace(checked.shape, limit=min(GROUP_SEQUENCES, checked.shape.limit or GROUP_SEQUENCES))
    return pack_corpus(place, checked.corpus, checked.teacher.tokenizer, shape, Silent())


def _shard_bytes(packed: Packed, sequences: int) -> int:
    """Bytes of a corpus by those of its beginning."""
    return int(sum(file["bytes"] for file in packed.files.values())) * sequences // packed.sequences


def _fill_note(request: GeneralRequest, checked: CheckedGeneral, packed: Packed) -> tuple[str, ...]:
    """What to say where documents are so short that most of a sequence stays empty."""
    mean, length = packed.tokens / packed.sequences, request.reading.max_length
    if mean >= length / 2:
        return ()
    if checked.corpus.ends_by_row:
        why = "each row is a document: if rows are sentences, give --rows sentences"
    else:
        why = f"a document ends at each blank {'row' if request.corpus.rows == SENTENCES else 'line'}: if sentences"
        why += " of one document are set apart by them, take them out"
    return (
        f"the corpus's sequences have {mean:.0f} tokens on average where {length} would fit, for no sequence spans two "
        f"documents, and {why}; if the documents are so short, a lower --max-length costs nothing",
    )


def _pairs_note(checked: CheckedGeneral, packed: Packed) -> tuple[str, ...]:
    """What to say where pairs are wanted and none can be made."""
    if packed.pairs or not checked.shape.pairs:
        return ()
    return (
        "none of the corpus's sequences is a pair, because a pair takes two sentences or more; the student's embedding "
        "of the second segment learns nothing; give one sentence a line, or --pairs 0",
    )


def _whole(packed: Packed, limit: int | None) -> tuple[int, bool | None]:
    """Sequences of the whole corpus by those of its beginning, and whether they were counted."""
    if packed.sequences == limit or packed.done == 1.0:
        return packed.sequences, True
    if packed.done is None:
        return limit or packed.sequences, None
    estimated = round(packed.sequences / max(packed.done, 1e-9))
    return min(estimated, limit or estimated), False
