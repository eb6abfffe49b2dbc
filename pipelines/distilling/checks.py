"""Preflight of a distillation: all that can be known before weights are loaded or anything is written."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augment.errors import AugmentError
from augment.files.find import ModelFiles
from distill.checks import check_labels, check_length, check_problem, check_vocabularies, check_vocabulary_size
from pipelines.distilling.held_back import check_held_back
from pipelines.distilling.shards import check_shard_labels, shards_of
from pipelines.errors import UserError
from pipelines.evaluating.label_order import refuse_unordered
from pipelines.methods.tinybert import loss_settings
from pipelines.models.load import SAVE_ONE, has_vocabulary, load_config, load_tokenizer, refuse_unfinished
from pipelines.options.models import FIRST_LAYERS, GENERAL, RANDOM, STARTS, TEACHER_LAYERS
from pipelines.squad.fitting import check_spans
from pipelines.tasks.task import DEV
from pipelines.training.parts import TaskData, row_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedConfig

    from pipelines.found import Found
    from pipelines.general.request import GeneralRequest
    from pipelines.options.training import LossChoice
    from pipelines.training.request import DistillRequest

DEFAULT_STUDENT = "tinybert4"


@dataclass(frozen=True)
class TeacherFiles:
    """A teacher, found but not loaded.

    Args:
        found: its files.
        config: its configuration.
        tokenizer: its tokenizer, which the student takes over, unless it has its own.
    """

    found: ModelFiles
    config: PreTrainedConfig
    tokenizer: Any


def find_files(name: str, revision: str | None, what: str, found: Found, any_family: bool = False) -> TeacherFiles:
    """Finds a model and its tokenizer, such as a fine-tuned or general teacher; its weights are not read.

    Args:
        name: a folder, or a name on the hub.
        revision: on the hub.
        what: it is, for messages.
        found: what the command has found already.
        any_family: takes a classifier of any family, of which the logits alone are used.

    Raises:
        UserError: it cannot be had.
    """
    files = found.model(name, revision, what)
    config, tokenizer = load_config(files, any_family), load_tokenizer(files)
    if config.pad_token_id is None:  # GPT-2 and the like find the last token by it
        config.pad_token_id = tokenizer.pad_token_id
    return TeacherFiles(files, config, tokenizer)


@dataclass(frozen=True)
class StudentPlan:
    """The student that will be built.

    Args:
        shape: preset, config.json or folder.
        start: random, teacher-layers, or the folder that the weights lie in.
        config: its configuration.
        layer_map: teacher layers g(1) … g(M).
        found: files of the folder it starts from; None for the two that need none.
        tokenizer: its own, or its teacher's.
    """

    shape: str
    start: str
    config: PreTrainedConfig
    layer_map: tuple[int, ...]
    found: ModelFiles | None
    tokenizer: Any = None


def find_shards(place: str, data: TaskData, labelled: bool) -> str:
    """The location of the training shards, which must be of the task.

    Args:
        place: what the user gave as --train.
        data: the task.
        labelled: whether their labels are learnt.

    Raises:
        UserError, DistillError: there are none, or they are of another task.
    """
    from distill.reading import open_shards

    train = shards_of(place)
    files = open_shards(train, row_columns(data.task, labelled))
    check_shard_labels(files, data.task, labelled)
    if data.opened is not None and data.task.dev_split is not None and (dev := data.opened.split(DEV).picked):
        check_held_back(files, dev, data.task)
    return train


def check_teacher(teacher: TeacherFiles, data: TaskData, max_length: int) -> None:
    """Labels, vocabulary size and positions of a teacher, or of another model for a task.

    Raises:
        UserError, DistillError: they do not fit the task.
    """
    what, who = teacher.found.what, f"{teacher.found.what} {teacher.found.name}"
    check_problem(teacher.config, who)
    task = data.task
    check_spans(task, teacher.config, who)
    if task.label.names:
        check_labels(teacher.config, task.label.names, who, task.name)
        refuse_unordered(teacher.found, teacher.config, data)
    if task.label.kind == "score" and teacher.config.num_labels != 1:
        raise UserError(
            f"{who}: expected one output, for {task.name} is a score; found {teacher.config.num_labels} labels; it "
            f"was trained on another task: give one for {task.name}"
        )
    check_vocabulary_size(teacher.config, teacher.tokenizer, what)
    check_length(teacher.config, max_length, what)


def plan_student(
    request: DistillRequest | GeneralRequest,
    teacher: TeacherFiles,
    compares_scores: bool,
    found: Found,
    maps: bool = True,
    of_logits: bool = False,
) -> StudentPlan:
    """The student's shape, start and layer map, checked against its teacher.

    Args:
        request: what the user asked for.
        teacher: files of the teacher.
        compares_scores: whether a stage compares attention scores, which takes as many heads.
        found: what the command has found already.
        maps: whether --layer-map says which layers it learns, which may name a layer twice.
        of_logits: whether logits are all that it learns, so that its vocabulary may be another than its teacher's.

    Raises:
        UserError, DistillError: they do not fit.
    """
    from distill.shapes import student_config
    from distill.student import check_equal_widths, start_config

    shape = request.student or (DEFAULT_STUDENT if request.start in STARTS else request.start)
    refuse_unfinished(Path(shape), f"student {shape}")
    with naming(f"--student {shape}"):
        config = student_config(shape, teacher.config)
    if config.model_type != teacher.config.model_type and request.start == TEACHER_LAYERS:
        raise UserError(f"--student-init {TEACHER_LAYERS}: expected a student of the teacher's family, found {shape}")
    layer_map = _layer_map(request, shape, config, teacher.config, maps)
    with naming("--layer-weights"):
        loss_settings(request.losses).weights(config.num_hidden_layers)
    if compares_scores:
        _check_heads(config, teacher.config, request.losses)
    if request.start == TEACHER_LAYERS:
        with naming(f"--student-init {TEACHER_LAYERS}"):
            check_equal_widths(config, teacher.config)
    start = None if request.start in (TEACHER_LAYERS, RANDOM) else find_start(request, shape, found)
    who = f"student {shape}"
    if start is not None:  # it is what will be built, and may know fewer tokens or positions
        config = start_config(str(start.folder), config, first_layers=request.start == FIRST_LAYERS)
        who = start.who
    tokenizer = _find_tokenizer((*((start.folder,) if start else ()), Path(shape)), shape, teacher, of_logits)
    check_vocabulary_size(config, tokenizer, who)
    check_length(config, request.reading.max_length, who)
    place = request.start if start is None or request.start == FIRST_LAYERS else str(start.folder)
    return StudentPlan(shape, place, config, layer_map, start, tokenizer)


def _layer_map(
    request: DistillRequest | GeneralRequest,
    shape: str,
    student: PreTrainedConfig,
    teacher: PreTrainedConfig,
    maps: bool,
) -> tuple[int, ...]:
    """The layer map of a student; none beside a teacher whose layers are not known."""
    from distill.families import has_known_layers
    from distill.layer_maps import resolve_layer_map

    if not has_known_layers(teacher):
        return ()
    layers, most = student.num_hidden_layers, teacher.num_hidden_layers
    if not maps and layers > most:
        raise UserError(f"--student {shape}: expected at most the layers of the teacher, found {layers}: it has {most}")
    with naming(f"--layer-map {request.layer_map}"):
        return resolve_layer_map(request.layer_map, layers, most)


@contextmanager
def naming(option: str) -> Iterator[None]:
    """Names the option beside what the library says of its value, as a mistake of the user's."""
    from distill.errors import DistillError

    try:
        yield
    except DistillError as error:
        raise UserError(f"{option}: {error}") from error


def find_start(request: DistillRequest | GeneralRequest, shape: str, found: Found) -> ModelFiles:
    """The folder of a general or earlier student, or of the encoder whose first layers it takes.

    Raises:
        UserError, DistillError: it cannot be had; the message says how to get one.
    """
    from distill.student import general_name

    start = request.start
    if start == FIRST_LAYERS:
        if request.encoder is None:
            raise UserError(
                f"--student-init {FIRST_LAYERS}: expected the encoder that the teacher was made from, found none; give "
                "--encoder (in `run` --teacher-model)"
            )
        return found.model(request.encoder, request.encoder_revision, "encoder")
    name = general_name(shape) if start == GENERAL else start
    try:
        return found.model(name, None, "student")
    except AugmentError as error:
        raise UserError(
            f"--student-init {start}: expected the weights of {name}, they cannot be had ({error}). With a network: "
            f"`hf download {name} --local-dir general`, then --student-init general/; or give a folder of your own "
            "general distillation; or start with teacher-layers (a student of the teacher's width) or random "
            "(learns far worse)"
        ) from error


def _check_heads(student: PreTrainedConfig, teacher: PreTrainedConfig, losses: LossChoice) -> None:
    mine, theirs = student.num_attention_heads, teacher.num_attention_heads
    if mine != theirs and losses.heads == "none":
        raise UserError(
            f"expected {theirs} attention heads in the student as the teacher has, found {mine}; give it as many "
            f"(num_attention_heads in its config.json; of LxW a width that {theirs} divides), compare means over heads "
            "with --heads mean, or leave the attention loss out with --losses embedding,hidden"
        )


def check_vocabulary(folder: Path, teacher: TeacherFiles) -> None:
    """A student's own tokenizer, where it has one, must number tokens as its teacher's does.

    Args:
        folder: of the student; need not be there.
        teacher: files of the model whose tokenizer it takes over.

    Raises:
        DistillError: it does not.
    """
    if has_vocabulary(folder):
        own = load_tokenizer(ModelFiles("student", str(folder), folder, None, ""))
        check_vocabularies(teacher.tokenizer, own)


def _find_tokenizer(folders: tuple[Path, ...], shape: str, teacher: TeacherFiles, of_logits: bool) -> Any:
    """A student's own tokenizer, in the first folder that has one; else its teacher's.

    Raises:
        DistillError: it numbers tokens otherwise than its teacher's, of which more than logits is learnt.
        UserError: it has none, and its teacher is of a family whose tokens may mean nothing to it.
    """
    from distill.families import has_known_layers
    from distill.tokens import tokenizer_fingerprint, tokenizer_json

    def reads(tokenizer: Any) -> str:  # an equal vocabulary may stand behind another normalizer or pre-tokenizer
        return tokenizer_fingerprint(tokenizer_json(tokenizer))

    known = has_known_layers(teacher.config)
    for folder in folders:
        if has_vocabulary(folder):
            own = load_tokenizer(ModelFiles("student", str(folder), folder, None, ""))
            if not of_logits:
                check_vocabularies(teacher.tokenizer, own)
            elif not known or reads(own) != reads(teacher.tokenizer):
                return own
    if not known:
        raise UserError(
            f"student {shape}: expected a tokenizer of its own beside a teacher of the type "
            f"{teacher.config.model_type}, found none in its folder; {SAVE_ONE}"
        )
    return teacher.tokenizer
