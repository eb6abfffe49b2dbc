"""Preflight of a distillation: all that can be known before weights are loaded or anything is written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augment.errors import AugmentError
from pipelines.errors import UserError
from pipelines.training.models import find_model, load_config, load_tokenizer
from pipelines.training.parts import open_data, shards_of, task_columns

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from pipelines.tasks import Task
    from pipelines.training.general_request import GeneralRequest
    from pipelines.training.models import FoundModel
    from pipelines.training.parts import TaskData
    from pipelines.training.request import DistillRequest, LossChoice

GENERAL, TEACHER_LAYERS, RANDOM = "general", "teacher-layers", "random"
DEFAULT_STUDENT = "tinybert4"
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt")


@dataclass(frozen=True)
class TeacherFiles:
    """A teacher, found but not loaded.

    Args:
        found: its files.
        config: its configuration.
        tokenizer: its tokenizer, which the student takes over.
    """

    found: FoundModel
    config: PreTrainedConfig
    tokenizer: Any


def find_files(name: str, revision: str | None, what: str) -> TeacherFiles:
    """Finds a fine-tuned model; its weights are not read.

    Args:
        name: a folder, or a name on the hub.
        revision: on the hub.
        what: it is, for messages.

    Raises:
        UserError: it cannot be had.
    """
    found = find_model(name, revision, what)
    return TeacherFiles(found, load_config(found), load_tokenizer(found))


@dataclass(frozen=True)
class StudentPlan:
    """The student that will be built.

    Args:
        shape: preset, config.json or folder.
        start: random, teacher-layers, or the folder that the weights lie in.
        config: its configuration.
        layer_map: teacher layers g(1) … g(M).
        found: files of the folder it starts from; None for the two that need none.
    """

    shape: str
    start: str
    config: PreTrainedConfig
    layer_map: tuple[int, ...]
    found: FoundModel | None


@dataclass(frozen=True)
class CheckedDistill:
    """A request whose parts were found and fit each other.

    Args:
        data: the task.
        train: location of the training shards; None for the task's own train part.
        teacher: its files.
        student: its plan.
    """

    data: TaskData
    train: str | None
    teacher: TeacherFiles
    student: StudentPlan


def check_distill(request: DistillRequest) -> CheckedDistill:
    """Finds everything a request names; label order, vocabularies, heads, lengths and layer map must fit.

    Raises:
        UserError, AugmentError, DistillError: something cannot be used.
    """
    from distill.reading import open_shards

    data = open_data(request.data)
    train = None
    if request.train is not None:
        train = shards_of(request.train)
        open_shards(train, task_columns(data.task, labelled=False))
    elif data.opened is None:
        raise UserError("--train: expected a folder of Parquet shards beside a custom task without --data, found none")
    else:
        data.opened.split("train")
    teacher = find_files(request.teacher, request.teacher_revision, "teacher")
    check_teacher(teacher, data.task, request.reading.max_length)
    student = plan_student(request, teacher)
    return CheckedDistill(data, train, teacher, student)


def check_teacher(teacher: TeacherFiles, task: Task, max_length: int) -> None:
    """Labels, vocabulary size and positions of a teacher.

    Raises:
        UserError, DistillError: they do not fit the task.
    """
    from distill.checks import check_labels, check_length, check_vocabulary_size

    check_labels(teacher.config, teacher.config, task.label.names or None)
    if task.label.kind == "score" and teacher.config.num_labels != 1:
        raise UserError(
            f"teacher {teacher.found.name}: expected one output, for {task.name} is a score; found "
            f"{teacher.config.num_labels} labels; fine-tune it for this task"
        )
    check_vocabulary_size(teacher.config, teacher.tokenizer, "teacher")
    check_length(teacher.config, max_length, "teacher")


def plan_student(request: DistillRequest | GeneralRequest, teacher: TeacherFiles) -> StudentPlan:
    """The student's shape, start and layer map, checked against its teacher.

    Raises:
        UserError, DistillError: they do not fit.
    """
    from distill.checks import check_labels, check_length, check_vocabulary_size
    from distill.layer_maps import resolve_layer_map
    from distill.student import student_config

    kinds = (GENERAL, TEACHER_LAYERS, RANDOM)
    shape = request.student or (DEFAULT_STUDENT if request.start in kinds else request.start)
    config = student_config(_existing(shape), teacher.config)
    if config.model_type != teacher.config.model_type and request.start == TEACHER_LAYERS:
        raise UserError(f"--student-init {TEACHER_LAYERS}: expected a student of the teacher's family, found {shape}")
    layer_map = resolve_layer_map(request.layer_map, config.num_hidden_layers, teacher.config.num_hidden_layers)
    if request.intermediate.epochs:
        _check_heads(config, teacher.config, request.losses)
    check_labels(teacher.config, config)
    check_vocabulary_size(config, teacher.tokenizer, "student")
    check_length(config, request.reading.max_length, "student")
    found = None if request.start in (TEACHER_LAYERS, RANDOM) else find_start(request.start, shape)
    for folder in (Path(shape), *((found.folder,) if found else ())):
        _check_vocabulary(folder, teacher)
    if request.start == TEACHER_LAYERS and config.hidden_size != teacher.config.hidden_size:
        raise UserError(
            f"--student-init {TEACHER_LAYERS}: expected the teacher's width ({teacher.config.hidden_size}), found "
            f"{config.hidden_size} in {shape}; give a student of that width, or start from general weights"
        )
    start = str(found.folder) if found else request.start
    return StudentPlan(shape, start, config, layer_map, found)


def find_start(start: str, shape: str) -> FoundModel:
    """The folder of a general or earlier student.

    Raises:
        UserError, DistillError: it cannot be had; the message says how to get one.
    """
    from distill.student import general_name

    name = general_name(shape) if start == GENERAL else start
    try:
        return find_model(name, None, "student")
    except AugmentError as error:
        raise UserError(
            f"--student-init {start}: expected the weights of {name}, they cannot be had ({error}). With a network: "
            f"`hf download {name} --local-dir general`, then --student-init general/; or give a folder of your own "
            "general distillation; or start with teacher-layers (a student of the teacher's width) or random "
            "(learns far worse)"
        ) from error


def check_disk(folder: Path, needed: int, why: str) -> None:
    """Refuses to begin what the disk cannot hold.

    Args:
        folder: where it will lie; may not exist yet.
        needed: bytes.
        why: what takes them.

    Raises:
        UserError: it is too small.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: expected {needed / 1e9:.1f} GB of free disk ({why}), found {free / 1e9:.1f} GB; free some, "
            "choose another disk, or give --cache logits or a lower --cache-budget"
        )


def _existing(shape: str) -> str:
    """A path as it is; a name without a file would be looked for on the hub."""
    from distill.student import NAMED_SHAPES

    if shape in NAMED_SHAPES or Path(shape).exists():
        return shape
    if shape.endswith(".json") or shape.startswith((".", "/", "~")) or "/" not in shape:
        raise UserError(f"--student {shape}: expected {', '.join(NAMED_SHAPES)} or a config.json, found no such file")
    return shape


def _check_heads(student: PreTrainedConfig, teacher: PreTrainedConfig, losses: LossChoice) -> None:
    mine, theirs = student.num_attention_heads, teacher.num_attention_heads
    if "attention" in losses.kinds and mine != theirs and losses.heads == "none":
        raise UserError(
            f"expected {theirs} attention heads in the student as the teacher has, found {mine}; give it as many "
            "(num_attention_heads in its config.json), compare means over heads with --heads mean, or leave the "
            "attention loss out with --losses embedding,hidden"
        )


def _check_vocabulary(folder: Path, teacher: TeacherFiles) -> None:
    """A student's own tokenizer, where it has one, must number tokens as its teacher's does."""
    from distill.checks import check_vocabularies
    from pipelines.training.models import FoundModel

    if folder.is_dir() and any((folder / name).is_file() for name in TOKENIZER_FILES):
        own = load_tokenizer(FoundModel("student", str(folder), folder, None, ""))
        check_vocabularies(teacher.tokenizer, own)
