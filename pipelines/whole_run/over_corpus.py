"""The stage of `tinyaug run` in which the student learns from a corpus, before it learns the task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.checks import check_vocabularies
from pipelines.general.general_job import GeneralJob
from pipelines.general.pretrain_job import PretrainJob
from pipelines.general.request import GeneralRequest, PretrainRequest
from pipelines.run_folder.run_file import started_run
from pipelines.run_folder.stage_folder import stage_storage
from pipelines.training.results import StageResult

if TYPE_CHECKING:
    from pipelines.distilling.checks import TeacherFiles
    from pipelines.found import Found
    from pipelines.training.driver import Trained

CorpusRequest = GeneralRequest | PretrainRequest


def corpus_job(request: CorpusRequest, found: Found) -> GeneralJob | PretrainJob:
    """The job of `distill-general` or `pretrain` that the method has for it."""
    return PretrainJob(request, found) if isinstance(request, PretrainRequest) else GeneralJob(request, found)


def check_corpus(request: CorpusRequest, teacher: TeacherFiles, found: Found) -> None:
    """Checks the stage, and that its student knows the teacher's tokens, before hours are spent on it.

    Args:
        request: what the user asked for.
        teacher: of the task stages, or the encoder that it will be made from.
        found: what the command has found already.

    Raises:
        UserError, AugmentError, DistillError: naming what is missing or does not fit.
    """
    job = corpus_job(request, found)
    started = None
    if not request.overwrite:
        started = started_run(stage_storage(request.out, "a model"), job.kind, overwrite=False)
    job.check(started)
    check_vocabularies(teacher.tokenizer, job.tokenizer)


def corpus_stage(request: CorpusRequest | None, trained: Trained | None) -> dict[str, StageResult]:
    """What came of the stage, by its name; nothing where there is none."""
    if request is None or trained is None:
        return {}
    told = trained.metrics
    result = StageResult(told["steps"], told["examples"], told["sequences"], told["seconds"], None, told["graph_steps"])
    return {"pretraining" if isinstance(request, PretrainRequest) else "general": result}
