"""`tinyaug run`: check, augment, read a corpus, make a teacher, distil a student, sum up; skips what is done."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipelines.augmenting.augment_job import Outcome, run_augment
from pipelines.distilling.distill_job import DistillJob
from pipelines.errors import JobError
from pipelines.evaluating.evaluate_job import run_evaluate
from pipelines.methods.names import METHODS
from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.run_file import AUGMENT, CONFIG, RUN, Identity, run_content, started_run
from pipelines.run_folder.stage_folder import BASELINES, METRICS
from pipelines.training.driver import run
from pipelines.training.finetune_job import FinetuneJob
from pipelines.whole_run.baseline import run_baselines
from pipelines.whole_run.checks import announcement, check_run, judge_early, own_threads, run_storage
from pipelines.whole_run.metrics import RunMetrics, run_metrics
from pipelines.whole_run.over_corpus import CorpusRequest, corpus_job
from pipelines.wording import rejected_rows

if TYPE_CHECKING:
    from pipelines.augmenting.request import AugmentRequest
    from pipelines.found import Found
    from pipelines.options.verbs import EvaluateOptions
    from pipelines.reporting import Reporter
    from pipelines.run_folder.storage import Storage
    from pipelines.training.recipe import StageRecipe
    from pipelines.training.request import DistillRequest, FinetuneRequest


@dataclass(frozen=True)
class RunRequest:
    """Everything from texts to a student.

    Args:
        augment: the first stage; its `out` is the run directory.
        finetune: the teacher; None where one is given.
        distill: the student.
        evaluate: the student's answers for the server and its predictions; None for neither.
        profile: paper, quick or demo.
        demo: on the embedded pack: some verdicts are kept to be shown.
        general: what the student learns from a corpus first; None for nothing.
        config: what the run's config.toml says.
        baseline: recipe of a student fine-tuned on labels, where the student is compared with others of its shape; None
            where it is not.
    """

    augment: AugmentRequest
    finetune: FinetuneRequest | None
    distill: DistillRequest
    evaluate: EvaluateOptions | None = None
    profile: str = "paper"
    demo: bool = False
    general: CorpusRequest | None = None
    config: str = ""
    baseline: StageRecipe | None = None

    @property
    def kind(self) -> str:
        """What run.json says of the run directory: it is an augmentation's, unless no method reads augmented rows."""
        return AUGMENT if METHODS[self.distill.method].augmented else "run"

    @property
    def augments(self) -> bool:
        """Whether the student's method learns from augmented rows."""
        return self.kind == AUGMENT


@dataclass(frozen=True)
class RunOutcome:
    """What came of it.

    Args:
        storage: the run directory.
        augmented: the first stage; None for a method that reads no augmented rows.
        metrics: the content of metrics.json.
        fresh: whether anything was left to do.
    """

    storage: Storage
    augmented: Outcome | None
    metrics: RunMetrics
    fresh: bool


def run_task(request: RunRequest, reporter: Reporter, found: Found) -> RunOutcome:
    """Runs what is left of all stages.

    Args:
        request: what the user asked for.
        reporter: is told of progress.
        found: what the command has found already.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError, VectorsError: a mistake of the user's.
        JobError: a stage failed; what was finished is kept.
    """
    began = time.monotonic()
    teacher_files = check_run(request, reporter, found)
    with own_threads():
        judged = judge_early(request, teacher_files, reporter, found)
    said = announcement(request, teacher_files, reporter, found) if _is_unannounced(request) else None
    if said is not None:
        reporter.warning(said)
    augmenting, storage, afresh = time.monotonic(), run_storage(request), request.augment.overwrite
    augmented = _augment(request, reporter, found) if request.augments else None
    augmenting = time.monotonic() - augmenting
    with only_writer(storage, reporter.message):
        if not request.augments and (afresh or started_run(storage, request.kind) is None):
            storage.write_json(RUN, run_content(request.kind, Identity()))
        if storage.size(CONFIG) is None:  # another command may have augmented
            storage.write_bytes(CONFIG, request.config.encode())
    general, teacher = None, None
    if request.general is not None:
        general = run(corpus_job(request.general, found), reporter, profile=None)
    if request.finetune is not None:
        teacher = run(FinetuneJob(request.finetune, found), reporter, profile=None)
        judged = teacher.metrics["dev"]  # that it is near chance was said
    job = DistillJob(request.distill, found, judged)
    student = run(job, reporter, request.profile if said is None else None)
    if afresh and not request.augments:  # each stage has emptied its own folder, once nothing was refused
        shutil.rmtree(storage.local_folder() / BASELINES, ignore_errors=True)
    as_made = replace(request, distill=job.request)
    others = run_baselines(as_made, student.metrics["teacher_dev"], reporter, found)
    if request.evaluate is not None:
        run_evaluate(request.evaluate, reporter, found)
    metrics = run_metrics(request, augmented, (general, teacher), student, others, began, augmenting, found)
    with only_writer(storage, reporter.message):
        storage.write_json(METRICS, metrics.to_json())
        storage.write_bytes(CONFIG, _config(request, metrics).encode())  # now that no stage refuses the options
    made = any(one.fresh for one in (student, *others.values()))
    return RunOutcome(storage, augmented, metrics, made or bool(augmented and augmented.fresh))


def _is_unannounced(request: RunRequest) -> bool:
    """Whether nothing was begun yet, so that a long run is to be announced; the demo announces itself."""
    if request.demo or request.profile == "quick":
        return False
    return request.augment.overwrite or started_run(run_storage(request), request.kind) is None


def _config(request: RunRequest, metrics: RunMetrics) -> str:
    """What config.toml says; baselines of an earlier command stay in metrics.json."""
    kept = metrics.measured.standings and request.baseline is None and "\nbaseline = " not in request.config
    return request.config + ("baseline = true\n" if kept else "")


def _augment(request: RunRequest, reporter: Reporter, found: Found) -> Outcome:
    with own_threads():
        augmented = run_augment(replace(request.augment, config=request.config), reporter, found)
    if augmented.rejected and not request.augment.allow_rejects:
        raise JobError(
            f"{rejected_rows(augmented.rejected)} (rejected.parquet); look at the errors there, then go on with "
            "--allow-rejects"
        )
    return augmented
