"""Preflight of a general distillation: all that can be known before weights are loaded or anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.corpus.hub import HubCorpus, open_corpus
from pipelines.corpus.packed import PackedShape
from pipelines.distilling.checks import StudentPlan, TeacherFiles, find_files, plan_student
from pipelines.errors import UserError
from pipelines.general.request import PAIRS, GeneralRequest
from pipelines.teacher_cache.room import check_cache_place

if TYPE_CHECKING:
    from pipelines.corpus.files import FileCorpus
    from pipelines.found import Found
    from pipelines.options.training import LossChoice


@dataclass(frozen=True)
class CheckedGeneral:
    """A request whose parts were found and fit each other.

    Args:
        corpus: what is learnt from.
        teacher: its files.
        student: its plan.
        shape: what the corpus is packed into.
        rows: what a row of it is: documents or sentences.
    """

    corpus: FileCorpus | HubCorpus
    teacher: TeacherFiles
    student: StudentPlan
    shape: PackedShape
    rows: str


def check_general(request: GeneralRequest, found: Found, started: Any = None) -> CheckedGeneral:
    """Finds everything a request names; vocabularies, heads, lengths and layer map must fit.

    Args:
        request: what the user asked for.
        found: what the command has found already.
        started: run.json of an earlier start that is gone on with; None without one.

    Raises:
        UserError, AugmentError, DistillError: something cannot be used.
    """
    from distill.checks import check_length, check_vocabulary_size

    check_cache_place(request.cache)
    corpus = open_corpus(request.corpus, started)
    teacher = find_files(request.teacher, request.teacher_revision, "teacher", found)
    check_vocabulary_size(teacher.config, teacher.tokenizer, "teacher")
    check_length(teacher.config, request.reading.max_length, "teacher")
    if teacher.tokenizer.cls_token_id is None or teacher.tokenizer.sep_token_id is None:
        raise UserError(
            f"teacher {request.teacher}: expected a tokenizer with [CLS] and [SEP] or their like, found none"
        )
    if request.masked_lm.whole_word:
        _check_pieces(teacher)
    student = plan_student(request, teacher, learns_layers=True, found=found)
    _check_prediction_weight(request.losses)
    shape = PackedShape(request.reading.max_length, _pairs(request, teacher, student), request.corpus.limit)
    return CheckedGeneral(corpus, teacher, student, shape, request.corpus.rows)


def _pairs(request: GeneralRequest, teacher: TeacherFiles, student: StudentPlan) -> float:
    """Share of pairs; 0 unless told otherwise where a model has no embedding for a second segment."""
    asked = request.corpus.pairs
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


def _check_prediction_weight(losses: LossChoice) -> None:
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
