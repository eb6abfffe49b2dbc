"""A distillation with its models loaded: teacher, student, streams, caches. Each stage takes them from here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import UserError
from pipelines.evaluating.label_order import load_in_order
from pipelines.models.labels import name_labels
from pipelines.models.load import move
from pipelines.teacher_cache.foreign import refuse_foreign_caches
from pipelines.teacher_cache.room import OFF, cache_room, plan_in_room, room_of_layers, shard_hashes
from pipelines.training.parts import open_stream, task_columns, write_part, write_subset

if TYPE_CHECKING:
    from distill.losses import LossSettings
    from distill.shards import ShardStream
    from distill.student import Student
    from distill.targets import Targets
    from distill.teacher import Teacher
    from pipelines.distilling.checks import CheckedDistill
    from pipelines.general.request import GeneralRequest
    from pipelines.run_folder.storage import Storage
    from pipelines.teacher_cache.room import CacheRoom
    from pipelines.training.ranks import Ranks
    from pipelines.training.recipe import StageRecipe
    from pipelines.training.request import DistillRequest

SEEN_ONCE = ": the intermediate stage sees no row twice, and what is never read is not kept"


def load_teacher(request: DistillRequest, checked: CheckedDistill) -> Teacher:
    """The teacher in eval mode, on its device.

    Raises:
        UserError: weights that cannot be read, or without a task head.
    """
    from distill.teacher import Precision, Teacher

    model = load_in_order(checked.teacher.found, checked.teacher.config, checked.data.task)
    layers = checked.student.layer_map if request.intermediate.epochs else ()
    move(model, request.machine.device)
    return Teacher(model, layers, Precision(request.machine.precision))


def load_student(request: DistillRequest, checked: CheckedDistill, teacher: Teacher, start: str = "") -> Student:
    """The student as it starts, or as a folder has it.

    Args:
        request: what the user asked for.
        checked: its parts.
        teacher: the teacher.
        start: a folder to go on from; by default the start that was asked for.
    """
    from distill.student import build_student

    plan = checked.student
    shape = start or plan.shape
    student = build_student(shape, start or plan.start, teacher.model, plan.layer_map, request.reading.seed)
    name_labels(student.model.config, checked.data.task)
    return student


def loss_settings(request: DistillRequest | GeneralRequest) -> LossSettings:
    """The library's settings for what the user chose."""
    from distill.losses import HeadReduction, LossSettings

    choice = request.losses
    return LossSettings(
        **{kind: kind in choice.kinds for kind in ("embedding", "attention", "hidden")},
        layer_weights=choice.layer_weights,
        temperature=choice.temperature,
        heads=HeadReduction(choice.heads),
    )


def training_rows(request: DistillRequest, checked: CheckedDistill, storage: Storage) -> str:
    """Where the rows lie that the student learns from; a train part or subset is written first."""
    place = checked.train or write_part(storage, checked.data, "train")
    if request.reading.train_rows is None:
        return place
    columns = task_columns(checked.data.task, labelled=False)
    return write_subset(storage, place, columns, request.reading.train_rows, request.reading.seed)


def training_stream(request: DistillRequest, checked: CheckedDistill, place: str, batch_rows: int) -> ShardStream:
    """A stream of the training rows; of their columns it reads the texts alone."""
    columns = task_columns(checked.data.task, labelled=False)
    reading = request.reading
    return open_stream(place, columns, checked.teacher.tokenizer, reading.max_length, batch_rows, reading.seed)


@dataclass(frozen=True)
class CacheDecision:
    """What is kept of the teacher's outputs, as run.json records it.

    Args:
        intermediate: content of the cache of the first stage: full, hidden, scores, logits or off.
        prediction: of the second.
        words: the decision with its numbers.
        bytes: that the caches will take on top of what lies there.
    """

    intermediate: str
    prediction: str
    words: str
    bytes: int


def decide_cache(
    request: DistillRequest, teacher: Teacher, stream: ShardStream, root: Path, rows: int | None = None
) -> CacheDecision:
    """Decides by the budget, and by how often a stage sees the rows: what never fills or is never read is not kept.

    Args:
        request: what the user asked for.
        teacher: the teacher.
        stream: the training rows.
        root: folder of the caches.
        rows: of the training data, where `stream` is only a sample of what is still to be made.

    Raises:
        UserError: `full` or `logits` was asked for and does not fit.
    """
    from distill.cache_format import CacheContent, CacheMode, plan_cache
    from distill.targets import cache_key, sample_lengths

    mode, kept = CacheMode(request.cache.mode), request.losses.kept_of_layers()
    if mode is CacheMode.OFF:
        return CacheDecision(OFF, OFF, "teacher cache: off", 0)
    if not kept.of_layers or (mode is CacheMode.AUTO and not request.intermediate.epochs):
        mode = CacheMode.LOGITS
    key, room = room_of_layers(request.cache, root, teacher, stream, kept)
    lengths, rows = sample_lengths(stream), len(stream) if rows is None else rows
    if room.filled and mode is not CacheMode.LOGITS:  # whatever the budget would say now: it has been spent
        plan = replace(plan_cache(CacheMode.LOGITS, lengths, rows, key, room.budget), content=key.kept)
        return CacheDecision(key.content, key.content, f"{plan}, made ahead", 0)
    plan = plan_in_room(mode, lengths, rows, key, room, "auto or logits")
    once = plan.content != CacheContent.LOGITS and _never_read(request, room, rows)
    content = "logits" if once else str(plan.content)
    if content == CacheContent.LOGITS:
        room = cache_room(request.cache, root, cache_key(teacher, stream, content), stream)
        taken = room.taken if once or room.filled else plan.taken
        plan = replace(plan, content=CacheContent.LOGITS, taken=taken)
        _check_logits(request, plan.logits_bytes, room)
    needed = max(0, (plan.logits_bytes if content == CacheContent.LOGITS else plan.full_bytes) - room.there)
    if room.filled or request.cache.mode != "auto" or request.intermediate.sees_all(rows):
        words = ", made ahead" if room.filled else SEEN_ONCE if once else ""
        return CacheDecision(content, content, f"{plan}{words}", needed)
    prediction = "logits" if request.prediction.sees_all(rows) else OFF
    needed = plan.logits_bytes if prediction == "logits" else 0
    return CacheDecision(OFF, prediction, _words_of_few(request, needed), needed)


def _never_read(request: DistillRequest, room: CacheRoom, rows: int) -> bool:
    """Whether nobody would read what a full cache has of the layers; a folder that was named is for other runs, too."""
    auto = request.cache.mode == "auto" and "--cache-dir" not in request.cache.named
    return auto and not room.there and request.intermediate.sees_once(rows)


def _words_of_few(request: DistillRequest, logits_bytes: int) -> str:
    """The decision where a stage ends before it has seen all rows once."""
    from distill.wording import shown_bytes

    never = "ends before it has seen all rows once, and what never fills is never read"
    if not logits_bytes:
        trained = [name for name in ("intermediate", "prediction") if getattr(request, name).epochs]
        stage = f"the {trained[0]} stage" if len(trained) == 1 else "each stage"
        return f"teacher cache: off, for {stage} {never}"
    kept = f"teacher cache: logits for the prediction stage ({shown_bytes(logits_bytes)})"
    return f"{kept}, none for the intermediate stage: it {never}" if request.intermediate.epochs else kept


def _check_logits(request: DistillRequest, needed: int, room: CacheRoom) -> None:
    """Refuses logits beyond a budget of the user's where he asked for them; `auto` keeps them always."""
    from distill.wording import shown_bytes

    asked = request.cache.mode == "logits" and request.cache.budget is not None
    if asked and not room.filled and needed + room.taken > room.budget:
        others = f", and other records there {shown_bytes(room.taken)}" if room.taken else ""
        raise UserError(
            f"--cache-budget: expected at least {shown_bytes(needed)} for --cache logits{others}, found "
            f"{shown_bytes(room.budget)}; raise it, or choose auto or off"
        )


def open_targets(
    request: DistillRequest | GeneralRequest,
    teacher: Teacher,
    stream: ShardStream,
    content: str,
    root: Path,
    ranks: Ranks,
) -> Targets:
    """Where a stage gets its targets from: the teacher, through a cache unless it is off.

    Raises:
        DistillError: the folder holds another teacher's cache, or something else.
    """
    from distill.targets import Targets, cache_key
    from distill.teacher_cache import TeacherCache

    if content == OFF:
        return Targets(teacher)
    key = cache_key(teacher, stream, content)
    hashes = shard_hashes(stream)
    rows = [stream.files.shard_rows(shard) for shard in range(len(hashes))]
    if ranks.main:  # it claims the folder, and drops what is damaged, before the others look
        refuse_foreign_caches(request.cache, teacher, stream, {content}, root)
        cache = TeacherCache(root / content, key, hashes, rows, rebuild=request.cache.rebuild)
    ranks.wait()
    if not ranks.main:
        cache = TeacherCache(root / content, key, hashes, rows, ranks.rank)
    return Targets(teacher, cache)


def train_inputs(checked: CheckedDistill) -> list[dict[str, Any]]:
    """Name, bytes and sha256 of what the student learns from."""
    from distill.reading import open_shards

    if checked.train is None:
        return checked.data.inputs(("train",))
    files = open_shards(checked.train, task_columns(checked.data.task, labelled=False))
    sizes = [info.size for info in files.filesystem.get_file_info(list(files.paths))]
    return [
        {"name": Path(path).name, "bytes": size, "sha256": files.sha256(shard)}
        for shard, (path, size) in enumerate(zip(files.paths, sizes, strict=True))
    ]


def taught_examples(recipe: StageRecipe, rows: int, content: str, wants_states: bool, seed: int) -> int:
    """Examples the teacher has to be run on in a stage: one epoch's where what the stage wants is kept."""
    kept = content != OFF and not (content == "logits" and wants_states)
    examples = recipe.examples(rows, seed)
    return min(rows, examples) if kept else examples
