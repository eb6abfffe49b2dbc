"""What must agree between teacher, student and data before anything heavy starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

NEAR_CHANCE = 0.02  # closer to what a constant guess reaches than this, a teacher has most likely learnt nothing


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


def check_vocabulary_size(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, who: str) -> None:
    """Refuses a model with fewer embeddings than its tokenizer has tokens.

    Raises:
        DistillError: it has.
    """
    if (config.vocab_size or 0) < len(tokenizer):
        raise DistillError(
            f"expected at least {len(tokenizer)} embeddings in the {who}, one a token; found {config.vocab_size}. "
            "Model and tokenizer do not belong together."
        )


def check_labels(teacher: PreTrainedConfig, student: PreTrainedConfig, data: Sequence[str] | None = None) -> None:
    """Refuses label names in another order, the classical mistake with MNLI teachers.

    Args:
        teacher: its configuration.
        student: its configuration.
        data: label names of the data, by number; None when it has none.

    Raises:
        DistillError: numbers or names of labels differ. Names such as LABEL_0 say nothing and pass.
    """
    found = {"teacher": _names(teacher), "student": _names(student), "data": list(data) if data else None}
    sizes = {who: len(names) for who, names in found.items() if names}
    if len(set(sizes.values())) > 1:
        raise DistillError(f"expected one number of labels; found {sizes}. Fine-tune the teacher for this task.")
    telling = {who: names for who, names in found.items() if names and not _unnamed(names)}
    if len({tuple(name.lower() for name in names) for names in telling.values()}) > 1:
        raise DistillError(
            f"expected labels in one order; found {telling}. Set id2label of the teacher as it was trained, or "
            "reorder the data's labels."
        )


def check_length(config: PreTrainedConfig, max_length: int, who: str) -> None:
    """Refuses texts longer than a model has positions for.

    Raises:
        DistillError: max_length is above them.
    """
    positions = int(config.max_position_embeddings or 0)
    if config.model_type in ("roberta", "xlm-roberta"):
        positions -= (config.pad_token_id or 0) + 1  # their positions count from behind the padding id
    if max_length > positions:
        raise DistillError(
            f"expected max_length of at most {positions}, the positions of the {who}; found {max_length}. Lower it."
        )


def near_chance(accuracy: float, label_counts: Sequence[int]) -> bool:
    """Whether a teacher's dev accuracy is no better than always guessing the most frequent label."""
    return accuracy <= max(label_counts) / sum(label_counts) + NEAR_CHANCE


def _names(config: PreTrainedConfig) -> list[str]:
    labels = {int(number): str(name) for number, name in (config.id2label or {}).items()}
    return [labels[number] for number in sorted(labels)]


def _unnamed(names: Sequence[str]) -> bool:
    return all(name == f"LABEL_{number}" for number, name in enumerate(names))
