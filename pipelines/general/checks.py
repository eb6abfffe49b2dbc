"""Preflight of a general distillation: all that can be known before weights are loaded or anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.checks import check_length, check_vocabulary_size
from pipelines.corpus.files import FileCorpus
from pipelines.errors import UserError
from pipelines.general.request import PAIRS, GeneralRequest

if TYPE_CHECKING:
    from pipelines.corpus.hub import HubCorpus
    from pipelines.distilling.checks import StudentPlan, TeacherFiles
    from pipelines.options.training import LossChoice


def check_general_teacher(request: GeneralRequest, teacher: TeacherFiles) -> None:
    """Sizes and tokenizer of a teacher.

    Raises:
        UserError, DistillError: it cannot teach from a corpus.
    """
    check_vocabulary_size(teacher.config, teacher.tokenizer, "teacher")
    check_length(teacher.config, request.reading.max_length, "teacher")
    check_special_tokens(teacher)
    if request.masked_lm.whole_word:
        _check_pieces(teacher)


def check_special_tokens(files: TeacherFiles, *more: str) -> None:
    """Refuses a tokenizer without the tokens that a packed sequence has.

    Args:
        files: of the model that it is of.
        more: attributes of tokens that are needed beside [CLS] and [SEP].

    Raises:
        UserError: naming them.
    """
    needed = {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    names = [needed[name] for name in ("cls_token", "sep_token", *more)]
    if any(getattr(files.tokenizer, name) is None for name in ("cls_token", "sep_token", *more)):
        raise UserError(f"{files.found.who}: expected a tokenizer with {' and '.join(names)} or their like, found none")


def check_text(corpus: FileCorpus | HubCorpus, place: str, documents: int) -> None:
    """Refuses a corpus of files with too few documents; one on the hub is read later, for it comes by the network.

    Args:
        corpus: what is learnt from.
        place: where it is, for the message.
        documents: that are needed; reading stops in the last of them.

    Raises:
        UserError: there are fewer.
    """
    if not isinstance(corpus, FileCorpus):
        return
    found, ended = 0, True
    for piece in corpus.pieces():
        found += ended and piece.text is not None
        ended = piece.text is None
        if found == documents:
            return
    if found:
        raise UserError(
            f"--corpus {place}: expected two documents or more, for next-sentence prediction takes second segments "
            "from another one; found one. Set documents apart by blank lines"
        )
    raise UserError(f"--corpus {place}: expected text, found none but blank lines; give one sentence a line")


def share_of_pairs(asked: float | None, teacher: TeacherFiles, student: StudentPlan) -> float:
    """Share of the sequences that become pairs: 0 where a model has no embedding for a second segment.

    Args:
        asked: as the user said; None for the default.
        teacher: its files.
        student: its plan.

    Raises:
        UserError: pairs were asked for, and a model cannot tell their segments.
    """
    for who, config in (("teacher", teacher.config), ("student", student.config)):
        if (segments := getattr(config, "type_vocab_size", 0)) > 1:
            continue
        if asked:
            raise UserError(
                f"--pairs {asked:g}: expected a {who} with embeddings for two segments, found type {config.model_type} "
                f"with type_vocab_size {segments}; leave --pairs out"
            )
        return 0.0
    return PAIRS if asked is None else asked


def check_prediction_weight(losses: LossChoice) -> None:
    """Refuses a weight of a loss on predictions, which there are none of.

    Raises:
        UserError: naming the weight.
    """
    last = (losses.layer_weights or (1,))[-1]
    if last not in (0, 1):
        raise UserError(
            f"--layer-weights: expected 0 or 1 as the last, that of a prediction loss, which general distillation does "
            f"not have, found {last:g}; the weights are λ of the embedding, each layer and the prediction"
        )


def _check_pieces(teacher: TeacherFiles) -> None:
    """Refuses a vocabulary whose pieces do not tell words, before a corpus is read for hours."""
    from distill.masking import CONTINUES

    if not any(token.startswith(CONTINUES) and token != CONTINUES for token in teacher.tokenizer.get_vocab()):
        raise UserError(
            f"--whole-word: expected a WordPiece vocabulary ({CONTINUES}ing), whose pieces tell the words, found no "
            f"such piece in that of {teacher.found.name}; leave --whole-word out"
        )
