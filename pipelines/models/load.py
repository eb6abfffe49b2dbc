"""Folders, configurations, tokenizers and weights of teachers and encoders: checked, loaded, given a task's labels."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from augment.errors import is_of_machine
from augment.files.checks import check_folder
from pipelines.errors import UserError
from pipelines.wording import first_line

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

    from augment.files.find import ModelFiles
    from distill.teacher import Teacher
    from pipelines.tasks import Task

SAVE_ONE = "save the model's there with AutoTokenizer.from_pretrained(…).save_pretrained(folder)"
TRAINING = ("finetune", "distill", "distill-general", "pretrain")  # verbs that leave a model in their folder
VOCABULARY_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model")


def load_config(files: ModelFiles, any_family: bool = False) -> PreTrainedConfig:
    """The configuration of an encoder that distillation supports.

    Args:
        files: of the model.
        any_family: takes a classifier of any family of transformers, of which the logits alone are used.

    Raises:
        UserError, DistillError: it cannot be read, is of another family, or has sizes that no encoder has.
    """
    from transformers import AutoConfig

    import distill.bilstm  # noqa: F401 - makes AutoConfig know it
    from distill.config_checks import UNREADABLE, check_sizes, reason
    from distill.families import FAMILIES, has_known_layers

    _be_quiet()
    try:
        config = AutoConfig.from_pretrained(files.folder, trust_remote_code=False)
    except UNREADABLE as error:
        if is_of_machine(error):
            raise
        said = f"config.json cannot be read: {reason(error)}; correct it"
        raise UserError(f"{files.who}: {said}") from error
    if not has_known_layers(config):
        if any_family and _classifies(config):
            return config
        logits = "" if any_family else "; of others the logits can be learnt (docs/distillation.md, Any teacher)"
        raise UserError(
            f"{files.who}: expected an encoder of {', '.join(FAMILIES)}, found {config.model_type}; "
            f"use a model of one of these families{logits}"
        )
    check_sizes(config, files.who)
    return config


def _classifies(config: PreTrainedConfig) -> bool:
    """Whether transformers has a sequence classifier of that family."""
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    return type(config) in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING


def load_tokenizer(files: ModelFiles) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a model, with a padding token.

    Raises:
        UserError: there is none, or it knows no words.
    """
    from transformers import AutoTokenizer

    _be_quiet()
    if not has_vocabulary(files.folder):  # transformers would make a tokenizer that knows special tokens alone
        raise UserError(
            f"{files.who}: expected a tokenizer in the folder, found none of {', '.join(VOCABULARY_FILES)}; {SAVE_ONE}"
        )
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(files.folder, use_fast=True, trust_remote_code=False)
    except Exception as error:  # a broken tokenizer.json raises whatever its reader raises
        if is_of_machine(error):
            raise
        raise UserError(
            f"{files.who}: expected a tokenizer in the folder, it cannot be read: {first_line(error)[:200]}"
        ) from error
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise UserError(
            f"{files.who}: expected a fast tokenizer (tokenizer.json) with a padding token, found "
            f"{type(tokenizer).__name__}; {SAVE_ONE}"
        )
    if set(tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)) <= set(tokenizer.all_special_tokens):
        there = [name for name in VOCABULARY_FILES if (files.folder / name).is_file()]
        looked_for = sorted(type(tokenizer).vocab_files_names.values())
        raise UserError(
            f"{files.who}: expected a tokenizer that knows words (from {', '.join(looked_for)}), found "
            f"special tokens alone (of {', '.join(there)}); {SAVE_ONE}"
        )
    return tokenizer


def load_task_model(
    files: ModelFiles, config: PreTrainedConfig, task: Task, seed: int | None = None
) -> PreTrainedModel:
    """A model with its task head, in float32, in eval mode.

    Args:
        files: of the model.
        config: its configuration; the number of labels decides the head.
        task: decides whether it is a head for labels or for answers in a text.
        seed: a head that is missing or of another size is drawn from it; None refuses that.

    Raises:
        UserError: weights that cannot be read or lack more than a head.
    """
    from distill.weights import head_class

    model, drawn = _load(head_class(masked_lm=False, spans=task.label.is_span), files, config, seed or 0)
    if drawn and seed is None:
        raise UserError(
            f"{files.who}: expected a model fine-tuned for this task, found no task head "
            f"({drawn[0]} is missing); make one with `tinyaug finetune --task {task.name} --model {files.name}`"
        )
    return model


def load_masked_lm(files: ModelFiles, config: PreTrainedConfig, head_needed: bool) -> PreTrainedModel:
    """An encoder with a masked-LM head, in float32, in eval mode: the teacher of general distillation.

    Args:
        files: of the model.
        config: its configuration.
        head_needed: whether the head must be there; it is drawn, and of no use, otherwise.

    Raises:
        UserError: weights that cannot be read or lack more than a head.
    """
    from transformers import AutoModelForMaskedLM

    model, drawn = _load(AutoModelForMaskedLM, files, config, 0)
    if drawn and head_needed:
        raise UserError(
            f"{files.who}: expected a masked LM for --mlm-soft, found no masked-LM head ({drawn[0]} is "
            "missing); give one that has it, or leave --mlm-soft out"
        )
    return model


def _load(head: Any, files: ModelFiles, config: PreTrainedConfig, seed: int) -> tuple[PreTrainedModel, list[str]]:
    """A whole encoder in eval mode, and the names of its head's tensors that were drawn."""
    from distill.weights import read_model

    _be_quiet()
    try:
        model, drawn, lacking = read_model(head, files.folder, config, seed)
    except Exception as error:  # damaged safetensors, unreadable pickles: each reader has its own errors
        if is_of_machine(error):
            raise
        raise UserError(
            f"{files.who}: its weights cannot be read: {first_line(error)[:200]}; copy the folder again"
        ) from error
    if lacking:
        raise UserError(
            f"{files.who}: expected a whole encoder, found {len(lacking)} tensors missing, {lacking[0]} "
            "first; give a complete checkpoint"
        )
    return model.eval(), drawn


def move(model: Any, device: str) -> None:  # Any: the wrapper around `to` hides from mypy what it takes
    """Moves a model to a device, in place."""
    model.to(device)


def _be_quiet() -> None:
    """Missing heads are dealt with here; transformers need not warn of them, nor draw bars."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def check_classes(task: Task, needed: str = "") -> None:
    """Refuses to train for a task of one class: there is nothing to tell apart, and transformers loads no such model.

    Args:
        task: the task.
        needed: what its labels are for; empty where there need be none.

    Raises:
        UserError: naming column and class.
    """
    label = task.label
    if needed and label.kind == "none":
        raise UserError(f"expected a task with labels to {needed} on, found none; name them with --label COLUMN")
    if label.kind == "class" and len(label.names) < 2:
        raise UserError(
            f"expected at least 2 classes in column {label.column!r} of the train part, found only {label.names[0]!r}; "
            "add rows of the others, or name them all with --label-names"
        )


def name_labels(config: PreTrainedConfig, task: Task) -> None:
    """Writes a task's labels into a configuration, so that pipelines print names and not LABEL_1."""
    names = list(task.label.names) or (["score"] if task.label.kind == "score" else [])
    if task.label.is_span:
        config.num_labels, config.problem_type = 2, None  # start and end
    if not names:
        return
    config.num_labels = len(names)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    config.problem_type = "regression" if task.label.kind == "score" else "single_label_classification"


def pack_teacher(teacher: Teacher) -> bool:
    """Lays the teacher's weights out once for all batches, where that works: it only infers.

    Call it when whoever wanted its weights has them (a student that starts from its layers): afterwards they are no
    parameters any more.

    Args:
        teacher: changed in place; on a GPU, or in another precision than fp32, it is left as it is.

    Returns:
        Whether it was done.
    """
    from augment.packed_linear import pack_linear_layers
    from distill.families import has_known_layers
    from distill.teacher import Precision

    if not has_known_layers(teacher.model.config):  # it may read its layers' weights by other ways than a call
        return False
    if teacher.model.device.type != "cpu" or teacher.precision is not Precision.FP32:
        return False
    teacher.note_fingerprint()
    return pack_linear_layers(teacher.model)


def check_model(folder: Path, who: str) -> None:
    """Refuses a folder that no model can be loaded from.

    Args:
        folder: a Hugging Face model folder.
        who: the model, for messages.

    Raises:
        AugmentError, UserError: a folder without config.json or weights, or with those of a training checkpoint; a
            model still in training.
    """
    refuse_unfinished(folder, who)
    check_folder(folder, who)


def refuse_unfinished(folder: Path, who: str) -> None:
    """Refuses the folder of a training verb that holds no model yet.

    Args:
        folder: of whatever model.
        who: the model, for the message.

    Raises:
        UserError: with the command to go on.
    """
    if (folder / "config.json").is_file():
        return
    try:
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        kind, command = content["kind"], [word for word in content["command"] if word != "--overwrite"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if kind in TRAINING:
        raise UserError(
            f"{who}: expected a finished model, found a `tinyaug {kind}` that is not done yet; wait for it, or go on "
            f"with: {shlex.join(command)}"
        )


def has_vocabulary(folder: Path) -> bool:
    """Whether a folder has a file that a tokenizer gets its words from."""
    return any((folder / name).is_file() for name in VOCABULARY_FILES)


def trained_length(folder: Path) -> int | None:
    """The max_length that a model of ours was trained with; None for any other model."""
    try:
        return int(json.loads((folder / "run.json").read_text())["settings"]["reading"]["max_length"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
