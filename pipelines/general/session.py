"""A general distillation with its models loaded: teacher, student, stage, stream, and what is kept of the teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipelines.corpus.packed import COLUMNS
from pipelines.distilling.session import loss_settings
from pipelines.models.load import load_masked_lm, move
from pipelines.options.models import PROJECTED
from pipelines.teacher_cache.room import OFF, plan_in_room, room_of_layers
from pipelines.training.parts import POOL_ROWS
from pipelines.training.teacher_kernel import pack_teacher

if TYPE_CHECKING:
    from pathlib import Path

    from distill.general import GeneralStage
    from distill.masking import MaskSettings
    from distill.shards import ShardStream
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.general.checks import CheckedGeneral
    from pipelines.general.request import GeneralRequest


@dataclass(frozen=True)
class GeneralCache:
    """What is kept of the teacher's outputs, as run.json records it.

    Args:
        content: full, hidden, scores or off.
        words: the decision with its numbers.
        bytes: that it will take on top of what lies there.
    """

    content: str
    words: str
    bytes: int


def load_models(request: GeneralRequest, checked: CheckedGeneral) -> tuple[Teacher, Student]:
    """Teacher and student on their device.

    Raises:
        UserError, DistillError: weights that cannot be read or do not fit.
    """
    from distill.embedding_init import project_embeddings
    from distill.student import build_student
    from distill.teacher import Precision, Teacher

    model = load_masked_lm(checked.teacher.found, checked.teacher.config, request.masked_lm.soft > 0)
    plan = checked.student
    student = build_student(plan.shape, plan.start, model, plan.layer_map, request.reading.seed, masked_lm=True)
    if request.embeddings == PROJECTED:
        project_embeddings(student, model)
    for one in (model, student.model):
        move(one, request.machine.device)
    teacher = Teacher(model, plan.layer_map, Precision(request.machine.precision), predicts=False)
    pack_teacher(teacher)
    return teacher, student


def make_stage(request: GeneralRequest, student: Student, teacher: Teacher) -> GeneralStage:
    """What is trained.

    Raises:
        DistillError: student and teacher do not fit.
    """
    from distill.general import GeneralStage, MaskedLmLoss

    choice = request.masked_lm
    masked_lm = MaskedLmLoss(choice.weight, choice.soft, request.losses.temperature)
    return GeneralStage(student, teacher, loss_settings(request), masked_lm)


def packed_stream(request: GeneralRequest, checked: CheckedGeneral, place: str, static: bool) -> ShardStream:
    """Batches of a packed corpus.

    Args:
        request: what the user asked for.
        checked: its parts.
        place: folder of the shards.
        static: mask the same tokens in every epoch, for a cache keeps one pass of the teacher.
    """
    from distill.reading import Columns, open_shards
    from distill.shards import ShardStream, StreamSettings
    from distill.tokens import tokenizer_json

    tokenizer, reading = checked.teacher.tokenizer, request.reading
    columns = Columns(COLUMNS, tokenised=True)
    files = open_shards(place, columns)
    settings = StreamSettings(
        max_length=reading.max_length,
        batch_rows=request.recipe.batch_rows,
        seed=reading.seed,
        workers=1 if files.rows > POOL_ROWS else 0,
        masking=_masking(request, checked, static),
    )
    return ShardStream(files, columns, tokenizer_json(tokenizer), tokenizer.pad_token_id, settings)


def decide_cache(request: GeneralRequest, teacher: Teacher, stream: ShardStream, root: Path, rows: int) -> GeneralCache:
    """Whether the teacher's outputs are kept: only where a second epoch reads them, and within the budget.

    Beside a masked-LM loss only where it was asked for: a cache has one pass of the teacher, hence one choice of
    masked tokens, and what a student learns shall not depend on the free disk.

    Args:
        request: what the user asked for.
        teacher: the teacher.
        stream: the packed corpus, or a sample of it.
        root: folder of the caches.
        rows: sequences of the whole corpus.

    Raises:
        UserError: `full` was asked for and does not fit.
    """
    from distill.cache_format import CacheMode
    from distill.targets import sample_lengths

    mode, recipe = CacheMode(request.cache.mode), request.recipe
    kept = request.losses.kept_of_layers(request.masked_lm.soft > 0)
    if mode is CacheMode.OFF:
        return GeneralCache(OFF, "teacher cache: off", 0)
    if not request.losses.of_layers:
        return GeneralCache(OFF, "teacher cache: off (of the layers nothing is learnt)", 0)
    if not kept.of_layers:
        words = "teacher cache: off (the embedding loss uses nothing that a cache keeps)"
        return GeneralCache(OFF, words + _unheeded(request.cache.named), 0)
    if mode is CacheMode.AUTO and request.masked_lm.on:
        words = "teacher cache: off (each epoch masks other tokens; --cache full would mask the same ones in all)"
        return GeneralCache(OFF, words, 0)
    key, room = room_of_layers(request.cache, root, teacher, stream, kept)
    plan = plan_in_room(mode, sample_lengths(stream), rows, key, room, "auto or off")
    if plan.content != key.content:
        words = str(replace(plan, content=CacheMode.OFF))
        others = [option for option in request.cache.named if option != "--cache-budget"]  # which decided it
        return GeneralCache(OFF, words + _unheeded(others), 0)
    if mode is CacheMode.AUTO and recipe.sees_once(rows):
        words = "teacher cache: off (no sequence is seen twice, and what is never read is not kept)"
        return GeneralCache(OFF, words + _unheeded(request.cache.named), 0)
    words = f"{plan}; the same tokens are masked in every epoch" if request.masked_lm.on else str(plan)
    return GeneralCache(str(plan.content), words, max(0, plan.full_bytes - room.there))


def _unheeded(options: list[str]) -> str:
    """What to say of options of a cache that is not kept."""
    return f"; without a cache nothing comes of {' and '.join(options)}" if options else ""


def _masking(request: GeneralRequest, checked: CheckedGeneral, static: bool) -> MaskSettings | None:
    from distill.masking import MaskSettings

    if not request.masked_lm.on:
        return None
    token = str(checked.teacher.tokenizer.mask_token)
    return MaskSettings(whole_word=request.masked_lm.whole_word, static=static, mask_token=token)
