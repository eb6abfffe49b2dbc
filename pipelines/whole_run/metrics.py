"""What metrics.json of a run directory says: scores with their intervals, sizes, latencies, stages."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from pipelines.demo.verdicts import Verdict, choose_verdicts
from pipelines.distilling.shards import shards_of
from pipelines.distilling.trimming import Trimmed
from pipelines.evaluating.label_order import load_in_order
from pipelines.models.load import load_config, load_tokenizer
from pipelines.run_folder.stage_folder import METRICS, stage_storage
from pipelines.squad.following import has_answers
from pipelines.squad.windows import write_windows
from pipelines.training.parts import TaskData, open_data, task_columns, write_part
from pipelines.training.results import StageResult
from pipelines.whole_run.baseline import Standing, find_standings
from pipelines.whole_run.checks import run_storage
from pipelines.whole_run.over_corpus import corpus_stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distill.comparison import Comparison
    from distill.latency import Latency
    from distill.metrics import Scores
    from pipelines.augmenting.augment_job import Outcome
    from pipelines.found import Found
    from pipelines.run_folder.storage import Storage
    from pipelines.training.driver import Trained
    from pipelines.whole_run.run_job import RunRequest

OPTIONAL = ("verdicts", "trimmed", "standings", "baselines")  # left out where there is nothing to say


@dataclass(frozen=True)
class Measured:
    """What is measured when something was made; a command that finds everything done keeps it.

    Args:
        sizes: model -> what `distill.latency.model_size` says.
        latency: of both models.
        seconds: of the command (`all`), and of the augmentation (`augment`; None where it was done before).
        verdicts: what both models say of some dev sentences; None but for the demo.
        standings: results of these and of the baselines, judged pairwise; None without baselines.
        baselines: name -> what each of its stages did; None likewise.
    """

    sizes: dict[str, dict[str, int]]
    latency: Latency
    seconds: dict[str, float | None]
    verdicts: list[Verdict] | None = None
    standings: list[Standing] | None = None
    baselines: dict[str, dict[str, StageResult]] | None = None


@dataclass(frozen=True)
class RunMetrics:
    """The content of metrics.json; the models are "teacher" and "student".

    Args:
        task: its name.
        augmented: `rows`, and the `examples` that they were made of.
        scores: results of both models; its fields stand beside the others in metrics.json.
        parameters: model -> number of its parameters.
        measured: sizes, times and baselines; its fields stand beside the others in metrics.json.
        layer_map: the teacher's layer that each layer of the student learnt from.
        truncated_share: of the training texts; None where it is not known.
        stages: name -> what it did.
        folders: model -> where it lies.
        profile: that epochs and rates are of.
        trimmed: what the student's vocabulary lost; None where it is whole.
    """

    task: str
    augmented: dict[str, int]
    scores: Comparison
    parameters: dict[str, int]
    measured: Measured
    layer_map: list[int]
    truncated_share: float | None
    stages: dict[str, StageResult]
    folders: dict[str, str]
    profile: str
    trimmed: Trimmed | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields as they are written; those of `OPTIONAL` where there is something to say."""
        content = asdict(self)
        content |= {**content.pop("scores"), **content.pop("measured")}
        del content["below_chance"]  # for the summary; the scores tell
        return {name: value for name, value in content.items() if name not in OPTIONAL or value is not None}


def read_measured(storage: Storage) -> Measured | None:
    """What metrics.json of a run directory says was measured; None where it is not there."""
    content = storage.read_json(METRICS)
    if content is None:
        return None
    from distill.latency import Latency

    verdicts = [Verdict.from_json(found) for found in content["verdicts"]] if "verdicts" in content else None
    standings = [Standing.from_json(one) for one in content["standings"]] if "standings" in content else None
    baselines = {name: _stages(stages) for name, stages in content.get("baselines", {}).items()} or None
    latency = Latency(**content["latency"])
    return Measured(content["sizes"], latency, content["seconds"], verdicts, standings, baselines)


def run_metrics(
    request: RunRequest,
    augmented: Outcome | None,
    before: tuple[Trained | None, Trained | None],
    student: Trained,
    others: dict[str, Trained],
    began: float,
    augmenting: float,
    found: Found,
) -> RunMetrics:
    """Everything that is known of a finished run.

    Args:
        request: what the user asked for.
        augmented: the first stage; None for a method that reads no augmented rows.
        before: the stage over the corpus, and the teacher; None where there is no corpus, or a teacher was given.
        student: the last.
        others: the baselines by their names.
        began: when the command did, by `time.monotonic`.
        augmenting: seconds of the augmentation.
        found: what the command has found already.
    """
    told, data, (general, teacher) = student.metrics, open_data(request.distill.data, found), before
    stages = _stages(told["stages"])
    if teacher is not None:
        known = {one.name: teacher.metrics[one.name] for one in fields(StageResult) if one.name in teacher.metrics}
        stages = {"finetune": StageResult(**known), **stages}
    stages = {**corpus_stage(request.general, general), **stages}
    measured = read_measured(run_storage(request))
    is_fresh = augmented is not None and bool(augmented.fresh)
    seconds = None if measured is None or is_fresh or student.fresh else measured.seconds
    made = student.fresh or (teacher is not None and teacher.fresh)
    standings, baselines = (None, None) if measured is None or made else (measured.standings, measured.baselines)
    if measured is None or made or (request.demo and data.task.label.names and measured.verdicts is None):
        measured = _measure(request, data, found)
    if request.baseline and (standings is None or any(one.fresh for one in others.values())):
        standings = find_standings(request, data, found)
    made_of = {} if request.general is None else {"general": request.general.out}
    rows = {"rows": 0, "examples": 0}
    if augmented is not None:
        rows = {"rows": augmented.rows, "examples": augmented.augmented.get("source_rows", 0)}
    took = {"augment": round(augmenting, 1) if is_fresh else None, "all": round(time.monotonic() - began, 1)}
    return RunMetrics(
        task=told["task"],
        augmented=rows,
        scores=_compared(request, data, told["teacher_dev"], told["dev"]),
        parameters=told["parameters"],
        measured=replace(
            measured,
            seconds=seconds or took,
            standings=standings,
            baselines={name: _stages(one.metrics["stages"]) for name, one in others.items()} or baselines,
        ),
        layer_map=told["layer_map"],
        truncated_share=told.get("truncated_share"),
        stages=stages,
        folders={**made_of, "teacher": request.distill.teacher, "student": request.distill.out},
        profile=request.profile,
        trimmed=Trimmed(**told["trimmed"]) if told.get("trimmed") else None,
    )


def _stages(told: Mapping[str, Any]) -> dict[str, StageResult]:
    return {name: StageResult(**stage) for name, stage in told.items()}


def _compared(request: RunRequest, data: TaskData, teacher: Scores, student: Scores) -> Comparison:
    import numpy as np
    import pyarrow.parquet as pq

    from distill.comparison import compare_models

    storage, label, labels = stage_storage(request.distill.out, "a model"), data.task.label, {}
    for part in {**teacher, **student}:
        column = pq.read_table(write_part(storage, data, part)).column(label.column)
        labels[part] = has_answers(column) if label.is_span else np.asarray(column)
    return compare_models(teacher, student, labels, label.names)


def _measure(request: RunRequest, data: TaskData, found: Found) -> Measured:
    """Sizes and latencies, and for the demo some verdicts."""
    from distill.latency import model_size, single_texts, time_models

    distill = request.distill
    files_of = {
        "teacher": found.model(distill.teacher, distill.teacher_revision, "teacher"),
        "student": found.model(distill.out, None, "student"),
    }
    models = {name: load_in_order(files, load_config(files, True), data.task) for name, files in files_of.items()}
    student, teacher = (load_tokenizer(files_of[name]) for name in ("student", "teacher"))
    storage = stage_storage(distill.out, "a model")
    if data.dev_parts:
        place = write_part(storage, data, data.dev_parts[0])
    else:
        place = shards_of(distill.train) if distill.train else write_part(storage, data, "train")
    columns = task_columns(data.task, bool(data.dev_parts))
    if data.task.label.is_span:
        place = write_windows(storage, place, student, distill.reading.max_length, judged=bool(data.dev_parts))
    texts = single_texts(place, columns, student, distill.reading.max_length, teacher)
    timed = time_models(models, texts)
    return Measured(
        sizes={name: model_size(model, files_of[name].folder) for name, model in models.items()},
        latency=timed.latency,
        seconds={},
        verdicts=choose_verdicts(data.task, place, timed) if request.demo and data.task.label.names else None,
    )
