"""Loads teachers, encoders and their tokenizers from a folder or the hub, and refuses what cannot serve."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from augment.errors import is_of_machine
from augment.model_files import check_model_type, folder_fingerprint, locate_model, refuse_old_name
from augment.weight_files import check_names
from pipelines.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

    from pipelines.tasks import Task

TRAINING = ("finetune", "distill", "distill-general")  # verbs that leave a model in their folder
PARTS_OF_RUNS = ("student", "teacher")  # folders of models in the run directory of `tinyaug run`
VOCABULARY_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model")
SAVE_ONE = "save the model's there with AutoTokenizer.from_pretrained(…).save_pretrained(folder)"


@dataclass(frozen=True)
class FoundModel:
    """A model's files on this machine.

    Args:
        what: teacher, encoder or model, for messages.
        name: what the user called it.
        folder: where they lie.
        revision: the hub's commit, if it came from there.
        fingerprint: sha256 over configuration, tokenizer and weights.
    """

    what: str
    name: str
    folder: Path
    revision: str | None
    fingerprint: str


def find_model(name: str, revision: str | None, what: str) -> FoundModel:
    """Finds a model by folder or hub name; loads nothing.

    Raises:
        AugmentError, UserError: no such model, no network, a folder without config.json or weights, a model still in
            training.
    """
    folder, commit = locate_model(name, revision, what)
    refuse_unfinished(folder, f"{what} {name}")
    refuse_old_name(folder, f"{what} {name}")
    if not (folder / "config.json").is_file():
        inside = [str(folder / part) for part in PARTS_OF_RUNS if (folder / part / "config.json").is_file()]
        remedy = f"did you mean {' or '.join(inside)}?" if inside else "give a Hugging Face folder"
        raise UserError(f"{what} {name}: expected config.json in the folder, found none; {remedy}")
    if not any([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]):
        raise UserError(
            f"{what} {name}: expected weights (model.safetensors) in the folder, found none; copy them there, or name "
            "another folder"
        )
    check_names(folder, f"{what} {name}", check_model_type(folder, f"{what} {name}"))
    return FoundModel(what, name, folder, commit, folder_fingerprint(folder))


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


def load_config(found: FoundModel) -> PreTrainedConfig:
    """The configuration of an encoder that distillation supports.

    Raises:
        UserError, DistillError: it cannot be read, is of another family, or has sizes that no encoder has.
    """
    from transformers import AutoConfig

    from distill.config_checks import UNREADABLE, check_sizes, reason
    from distill.outputs import FAMILIES

    _be_quiet()
    try:
        config = AutoConfig.from_pretrained(found.folder, trust_remote_code=False)
    except UNREADABLE as error:
        if is_of_machine(error):
            raise
        said = f"config.json cannot be read: {reason(error)}; correct it"
        raise UserError(f"{found.what} {found.name}: {said}") from error
    if config.model_type not in FAMILIES:
        raise UserError(
            f"{found.what} {found.name}: expected an encoder of {', '.join(FAMILIES)}, found {config.model_type}; "
            "use a model of one of these families"
        )
    check_sizes(config, f"{found.what} {found.name}")
    return config


def load_tokenizer(found: FoundModel) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a model, with a padding token.

    Raises:
        UserError: there is none, or it knows no words.
    """
    from transformers import AutoTokenizer

    _be_quiet()
    if not has_vocabulary(found.folder):  # transformers would make a tokenizer that knows special tokens alone
        raise UserError(
            f"{found.what} {found.name}: expected a tokenizer in the folder, found none of "
            f"{', '.join(VOCABULARY_FILES)}; {SAVE_ONE}"
        )
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(found.folder, use_fast=True, trust_remote_code=False)
    except Exception as error:  # a broken tokenizer.json raises whatever its reader raises
        if is_of_machine(error):
            raise
        raise UserError(
            f"{found.what} {found.name}: expected a tokenizer in the folder, it cannot be read: {_first_line(error)}"
        ) from error
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise UserError(
            f"{found.what} {found.name}: expected a fast tokenizer (tokenizer.json) with a padding token, found "
            f"{type(tokenizer).__name__}; {SAVE_ONE}"
        )
    if set(tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)) <= set(tokenizer.all_special_tokens):
        there = [name for name in VOCABULARY_FILES if (found.folder / name).is_file()]
        looked_for = sorted(type(tokenizer).vocab_files_names.values())
        raise UserError(
            f"{found.what} {found.name}: expected a tokenizer that knows words (from {', '.join(looked_for)}), found "
            f"special tokens alone (of {', '.join(there)}); {SAVE_ONE}"
        )
    return tokenizer


def has_vocabulary(folder: Path) -> bool:
    """Whether a folder has a file that a tokenizer gets its words from."""
    return any((folder / name).is_file() for name in VOCABULARY_FILES)


def load_classifier(found: FoundModel, config: PreTrainedConfig, seed: int | None = None) -> PreTrainedModel:
    """A model with its task head, in float32, in eval mode.

    Args:
        found: its files.
        config: its configuration; the number of labels decides the head.
        seed: a head that is missing or of another size is drawn from it; None refuses that.

    Raises:
        UserError: weights that cannot be read or lack more than a head.
    """
    from transformers import AutoModelForSequenceClassification

    model, drawn = _load(AutoModelForSequenceClassification, found, config, seed or 0)
    if drawn and seed is None:
        raise UserError(
            f"{found.what} {found.name}: expected a model fine-tuned for this task, found no task head "
            f"({drawn[0]} is missing); make one with `tinyaug finetune --model {found.name}`"
        )
    return model


def load_masked_lm(found: FoundModel, config: PreTrainedConfig, head_needed: bool) -> PreTrainedModel:
    """An encoder with a masked-LM head, in float32, in eval mode: the teacher of general distillation.

    Args:
        found: its files.
        config: its configuration.
        head_needed: whether the head must be there; it is drawn, and of no use, otherwise.

    Raises:
        UserError: weights that cannot be read or lack more than a head.
    """
    from transformers import AutoModelForMaskedLM

    model, drawn = _load(AutoModelForMaskedLM, found, config, 0)
    if drawn and head_needed:
        raise UserError(
            f"{found.what} {found.name}: expected a masked LM for --mlm-soft, found no masked-LM head ({drawn[0]} is "
            "missing); give one that has it, or leave --mlm-soft out"
        )
    return model


def _load(head: Any, found: FoundModel, config: PreTrainedConfig, seed: int) -> tuple[PreTrainedModel, list[str]]:
    """A whole encoder in eval mode, and the names of its head's tensors that were drawn."""
    from distill.weights import read_model

    _be_quiet()
    try:
        model, drawn, lacking = read_model(head, found.folder, config, seed)
    except Exception as error:  # damaged safetensors, unreadable pickles: each reader has its own errors
        if is_of_machine(error):
            raise
        raise UserError(
            f"{found.what} {found.name}: its weights cannot be read: {_first_line(error)}; copy the folder again"
        ) from error
    if lacking:
        raise UserError(
            f"{found.what} {found.name}: expected a whole encoder, found {len(lacking)} tensors missing, {lacking[0]} "
            "first; give a complete checkpoint"
        )
    return model.eval(), drawn


def move(model: Any, device: str) -> None:
    """Moves a model to a device, in place."""
    model.to(device)


def check_classes(task: Task) -> None:
    """Refuses to train for a task of one class: there is nothing to tell apart, and transformers loads no such model.

    Raises:
        UserError: naming column and class.
    """
    label = task.label
    if label.kind == "class" and len(label.names) < 2:
        raise UserError(
            f"expected at least 2 classes in column {label.column!r} of the train part, found only {label.names[0]!r}; "
            "add rows of the others, or name them all with --label-names"
        )


def name_labels(config: PreTrainedConfig, task: Task) -> None:
    """Writes a task's labels into a configuration, so that pipelines print names and not LABEL_1."""
    names = list(task.label.names) or (["score"] if task.label.kind == "score" else [])
    if not names:
        return
    config.num_labels = len(names)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    config.problem_type = "regression" if task.label.kind == "score" else "single_label_classification"


def trained_length(folder: Path) -> int | None:
    """The max_length that a model of ours was trained with; None for any other model."""
    try:
        return int(json.loads((folder / "run.json").read_text())["settings"]["reading"]["max_length"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _be_quiet() -> None:
    """Missing heads are dealt with here; transformers need not warn of them, nor draw bars."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _first_line(error: Exception) -> str:
    return (str(error).strip().split("\n") or [type(error).__name__])[0][:200]
