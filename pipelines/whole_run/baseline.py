"""`run --baseline`: students of the same shape that show what augmentation and teacher are worth, judged pairwise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.distilling.distill_job import DistillJob, StandIns
from pipelines.errors import UserError
from pipelines.evaluating.dev_scores import Predictor, metrics_of
from pipelines.evaluating.label_order import load_in_order
from pipelines.methods.names import METHODS
from pipelines.models.load import load_config, load_tokenizer, move
from pipelines.options.models import FIRST_LAYERS, TEACHER_LAYERS
from pipelines.options.teacher_cache import CacheChoice, Keep
from pipelines.options.training import LossChoice
from pipelines.run_folder.stage_folder import BASELINES, FINETUNED, UNAUGMENTED, stage_storage
from pipelines.training.driver import Trained, plan, run
from pipelines.training.parts import TaskData, task_columns, write_part
from pipelines.training.recipe import LEFT_OUT

if TYPE_CHECKING:
    from distill.metrics import Scores
    from distill.paired import Lead
    from pipelines.found import Found
    from pipelines.reporting import Reporter
    from pipelines.training.estimates import TrainingEstimate
    from pipelines.training.request import DistillRequest
    from pipelines.whole_run.run_job import RunRequest

FINETUNE = "finetune"


@dataclass(frozen=True)
class Standing:
    """A model's result on a dev part by one metric.

    Args:
        part: of the task.
        metric: its name.
        model: teacher, student, or a baseline.
        value: of the metric.
        interval: of the value, 95%.
        lead: how far the student is ahead of it; None for the student itself.
    """

    part: str
    metric: str
    model: str
    value: float
    interval: tuple[float, float]
    lead: Lead | None

    @staticmethod
    def from_json(content: Any) -> Standing:
        """Reads it back from metrics.json."""
        from distill.paired import Lead

        lead = Lead(**content["lead"]) if content["lead"] is not None else None
        return Standing(**{**content, "lead": lead})


def baselines(request: RunRequest) -> dict[str, DistillRequest]:
    """The students that the run's own is compared with; none where they were not asked for.

    One is taught as it is, on the original rows alone: a method that reads no augmented rows has none. The other is
    fine-tuned on their labels; a student over word vectors has none. It starts from nothing that a teacher has learnt
    where the encoder of the teacher is known.

    Args:
        request: what the user asked for.
    """
    distill, method, found = request.distill, METHODS[request.distill.method], {}
    if request.baseline is None:
        return {}
    root = f"{request.augment.out.rstrip('/')}/{BASELINES}"
    plain = replace(distill, originals=distill.train is not None, cache=replace(distill.cache, folder=None))
    if method.augmented:
        found[UNAUGMENTED] = replace(plain, out=f"{root}/{UNAUGMENTED}")
    if method.encoder:
        start = FIRST_LAYERS if distill.start == TEACHER_LAYERS and distill.encoder is not None else distill.start
        found[FINETUNED] = replace(
            plain,
            out=f"{root}/{FINETUNED}",
            method=FINETUNE,
            start=start,
            intermediate=LEFT_OUT,
            prediction=request.baseline,
            losses=LossChoice(),
            cache=CacheChoice(mode=Keep.off),
        )
    return found


def check_baselines(request: RunRequest, found: Found, stand_ins: StandIns, data: TaskData) -> None:
    """Checks what the baselines need before the first stage starts.

    Args:
        request: what the user asked for.
        found: what the command has found already.
        stand_ins: for what is not made yet.
        data: the task.

    Raises:
        UserError, AugmentError, DistillError: naming what is missing or does not fit.
    """
    if request.baseline and data.task.label.is_span:
        raise UserError(
            f"--baseline: expected a task of classes or scores, found {data.task.name}; leave --baseline out"
        )
    if request.baseline and not data.dev_parts:
        raise UserError(
            "--baseline: expected a labelled dev part to compare the models on, found none; give --data with one, or "
            "leave --baseline out"
        )
    for one in baselines(request).values():
        DistillJob(one, found, stand_ins=stand_ins).check()


def plan_baselines(request: RunRequest, found: Found, stand_ins: StandIns, folder: str) -> list[TrainingEstimate]:
    """What the baselines would cost.

    Args:
        request: what the user asked for.
        found: what the command has found already.
        stand_ins: for what is not made yet.
        folder: for what has to lie somewhere meanwhile.
    """
    plans = []
    for name, one in baselines(request).items():
        estimate = plan(DistillJob(one, found, stand_ins=stand_ins), f"{folder}/{name}").estimate
        stages = tuple(replace(stage, name=f"{name}: {stage.name}") for stage in estimate.stages)
        plans.append(replace(estimate, stages=stages, notes=(), facts=()))
    return plans


def run_baselines(request: RunRequest, judged: Scores, reporter: Reporter, found: Found) -> dict[str, Trained]:
    """Trains what is left of the baselines.

    Args:
        request: what the user asked for; the student as it was made.
        judged: dev results of the teacher.
        reporter: is told of progress.
        found: what the command has found already.
    """
    made, size = {}, replace(request.distill.size, ms=None, mb=None)  # its shape is taken, and measured no more
    request = replace(request, distill=replace(request.distill, size=size))
    for name, one in baselines(request).items():
        reporter.message(f"baseline: {name}")
        made[name] = run(DistillJob(one, found, judged), reporter, profile=None)
    return made


def find_standings(request: RunRequest, data: TaskData, found: Found) -> list[Standing]:
    """Judges teacher, student and baselines row by row.

    Args:
        request: what the user asked for; everything is made.
        data: the task.
        found: what the command has found already.
    """
    from distill.metrics import compute_metrics
    from distill.paired import lead_of, metric_interval

    distill, standings = request.distill, []
    predictors = {"teacher": _predictor(distill, distill.teacher, distill.teacher_revision, data, found)}
    for name, one in {"student": distill, **baselines(request)}.items():
        predictors[name] = _predictor(distill, one.out, None, data, found)
    columns, storage = task_columns(data.task, labelled=True), stage_storage(distill.out, "a model")
    for part in data.dev_parts:
        place = write_part(storage, data, part)
        predicted = {name: one.predict(place, columns) for name, one in predictors.items()}
        mine, labels = predicted["student"]
        for metric in metrics_of(data.task):
            for name, (logits, _) in predicted.items():
                value = compute_metrics((metric,), logits, labels)[metric]
                lead = None if name == "student" else lead_of(metric, mine, logits, labels)
                standings.append(
                    Standing(part, str(metric), name, value, metric_interval(metric, logits, labels), lead)
                )
    return standings


def _predictor(distill: DistillRequest, name: str, revision: str | None, data: TaskData, found: Found) -> Predictor:
    files = found.model(name, revision, "model")
    model = load_in_order(files, load_config(files, True), data.task)
    move(model, distill.machine.device)
    return Predictor(model, load_tokenizer(files), distill.reading.max_length, distill.machine.precision)
