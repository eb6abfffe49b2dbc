"""Preflight of a general distillation: all that can be known before weights are loaded or anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.errors import UserError
from pipelines.training.cache_room import check_cache_place
from pipelines.training.choices import check_choices
from pipelines.training.corpus_hub import open_corpus
from pipelines.training.distill_checks import StudentPlan, TeacherFiles, find_files, plan_student

if TYPE_CHECKING:
    from pipelines.training.corpus import FileCorpus
    from pipelines.training.corpus_hub import HubCorpus
    from pipelines.training.general_request import GeneralRequest


@dataclass(frozen=True)
class CheckedGeneral:
    """A request whose parts were found and fit each other.

    Args:
        corpus: what is learnt from.
        teacher: its files.
        student: its plan.
    """

    corpus: FileCorpus | HubCorpus
    teacher: TeacherFiles
    student: StudentPlan


def check_general(request: GeneralRequest, started: dict[str, Any] | None = None) -> CheckedGeneral:
    """Finds everything a request names; vocabularies, heads, lengths and layer map must fit.

    Args:
        request: what the user asked for.
        started: run.json of an earlier start that is gone on with; None without one.

    Raises:
        UserError, AugmentError, DistillError: something cannot be used.
    """
    from distill.checks import check_length, check_vocabulary_size

    check_choices(request)
    check_cache_place(request.cache)
    corpus = open_corpus(request.corpus, started)
    teacher = find_files(request.teacher, request.teacher_revision, "teacher")
    check_vocabulary_size(teacher.config, teacher.tokenizer, "teacher")
    check_length(teacher.config, request.reading.max_length, "teacher")
    if teacher.tokenizer.cls_token_id is None or teacher.tokenizer.sep_token_id is None:
        raise UserError(
            f"teacher {request.teacher}: expected a tokenizer with [CLS] and [SEP] or their like, found none"
        )
    if request.masked_lm.on:
        _check_masked_lm(teacher)
    student = plan_student(request, teacher, learns_layers=True)
    if request.masked_lm.on and student.config.model_type != "bert":
        raise UserError(
            f"--mlm-weight and --mlm-soft: expected a student of type bert, found {student.config.model_type}; leave "
            "them out, or choose another student"
        )
    return CheckedGeneral(corpus, teacher, student)


def _check_masked_lm(teacher: TeacherFiles) -> None:
    tokenizer = teacher.tokenizer
    if teacher.config.model_type != "bert" or tokenizer.mask_token is None:
        raise UserError(
            f"--mlm-weight and --mlm-soft: expected a BERT with a mask token as teacher, found {teacher.found.name} of "
            f"type {teacher.config.model_type}; leave them out, or choose another teacher"
        )
