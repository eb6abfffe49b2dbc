"""Checks that teacher, student and data fit together, before anything heavy starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.errors import DistillError
from distill.families import first_position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


def check_vocabularies(teacher: PreTrainedTokenizerBase, student: PreTrainedTokenizerBase) -> None:
    """Refuses tokenizers that number tokens differently: the student would see other words than its teacher.

    Raises:
        DistillError: sizes differ, or a token has two numbers.
    """
    mine, theirs = student.get_vocab(), teacher.get_vocab()
    if mine == theirs:
        return
    token = min((t for t in {*mine, *theirs} if mine.get(t) != theirs.get(t)), key=str)
    raise DistillError(
        f"expected one vocabulary for teacher and student; found {len(theirs)} and {len(mine)} tokens, {token!r} "
        f"is number {theirs.get(token)} and {mine.get(token)}. Use a student of the teacher's vocabulary."
    )


def check_equal_embeddings(student: PreTrainedConfig, teacher: PreTrainedConfig) -> None:
    """Refuses a student of another number of token embeddings than its teacher.

    Raises:
        DistillError: it is.
    """
    if student.vocab_size != teacher.vocab_size:
        raise DistillError(
            f"expected {teacher.vocab_size} embeddings in the student as the teacher has; found "
            f"{student.vocab_size}. Set vocab_size in the student's config.json."
        )


def check_vocabulary_size(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, who: str) -> None:
    """Refuses a model with fewer embeddings than its tokenizer has tokens.

    Raises:
        DistillError: it has.
    """
    if (getattr(config, "vocab_size", None) or 0) < len(tokenizer):
        raise DistillError(
            f"expected at least {len(tokenizer)} embeddings in the {who}, one a token; found "
            f"{getattr(config, 'vocab_size', None)}. Model and tokenizer do not belong together."
        )


def check_problem(config: PreTrainedConfig, who: str) -> None:
    """Refuses a model of several labels or scores a row: its outputs are no distribution that a softmax could give.

    Raises:
        DistillError: naming its problem_type.
    """
    problem = getattr(config, "problem_type", None)
    if problem == "multi_label_classification" or (problem == "regression" and (config.num_labels or 1) > 1):
        several = "scores" if problem == "regression" else "labels"
        raise DistillError(
            f"{who}: expected a model of one label or one score a row; found problem_type {problem!r} with "
            f"{config.num_labels} labels. Several {several} a row are not supported: give another model."
        )


def check_labels(config: PreTrainedConfig, names: Sequence[str], who: str, task: str) -> tuple[int, ...]:
    """Finds the data's classes among a model's labels, by name and in whatever order they come.

    Args:
        config: of the model.
        names: label names of the data, by number.
        who: the model, for the message.
        task: name of the data's task, for the message.

    Returns:
        For each class of the data the number of the model's output. Case does not matter where no two names differ
        by case alone. Labels without names (LABEL_0, …) are taken in the data's order.

    Raises:
        DistillError: numbers or names of labels differ.
    """
    found = label_names(config)
    expected = f"{who}: expected the labels {', '.join(names)} of {task}; found "
    if len(found) != len(names):
        lacking = [name for name in names if name.lower() not in {one.lower() for one in found}]
        lacks = "" if is_unnamed(config) or len(found) > len(names) else f" It lacks {', '.join(lacking)}."
        remedy = f"Give a model for {task}, and where --label-names is given, all of its classes."
        if not lacking:
            remedy = f"If the data has no rows of the others, tell them: --label-names {','.join(found)}."
        raise DistillError(f"{expected}{len(found)} ({', '.join(found)}).{lacks} {remedy}")
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise DistillError(f"{who}: expected different labels; found {', '.join(twice)} twice. Correct its id2label.")
    mine, theirs = [[name.lower() for name in some] for some in (found, names)]
    if len(set(mine)) < len(mine) or len(set(theirs)) < len(theirs):
        mine, theirs = found, list(names)
    if set(mine) == set(theirs):
        return tuple(mine.index(name) for name in theirs)
    if is_unnamed(config):
        return tuple(range(len(names)))
    raise DistillError(
        f"{expected}{', '.join(found)}. It was trained on another task: give one for {task}. If these are its labels "
        "under other names, write the data's names into its config.json."
    )


def label_names(config: PreTrainedConfig) -> list[str]:
    """The names of a model's labels, by the number of its output."""
    labels = {int(number): str(name) for number, name in (config.id2label or {}).items()}
    return [labels[number] for number in sorted(labels)]


def is_unnamed(config: PreTrainedConfig) -> bool:
    """Whether a model's labels have no names but those that transformers gives: LABEL_0, LABEL_1, …."""
    return all(name == f"LABEL_{number}" for number, name in enumerate(label_names(config)))


def check_length(config: PreTrainedConfig, max_length: int, who: str) -> None:
    """Refuses texts longer than a model has positions for.

    Raises:
        DistillError: max_length is above them.
    """
    positions = usable_positions(config)
    if 0 < positions < max_length:
        raise DistillError(
            f"expected max_length of at most {positions}, the positions of the {who}; found {max_length}. Lower it."
        )


def usable_positions(config: PreTrainedConfig) -> int:
    """Tokens of the longest text that a model has positions for; 0 where its configuration does not say."""
    return max(0, int(getattr(config, "max_position_embeddings", None) or 0) - first_position(config))
