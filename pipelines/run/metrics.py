"""What metrics.json of a run directory says: scores with their intervals, sizes, latencies, stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distill.intervals import wilson_interval
from pipelines.evaluating.dev_scores import chance
from pipelines.evaluating.label_order import load_in_order
from pipelines.run_folder.stage_folder import stage_storage
from pipelines.training.models import find_model, load_config, load_tokenizer
from pipelines.training.parts import open_data, shards_of, task_columns, write_part

if TYPE_CHECKING:
    from pipelines.augmenting.augment_job import Outcome
    from pipelines.run.run_job import RunRequest
    from pipelines.training.finetune_job import Trained

ACCURACY = "accuracy"  # the one metric that is a share of the rows
MEASURED = ("sizes", "latency")
VERDICTS = "verdicts"
Scores = dict[str, dict[str, float]]


def run_metrics(
    request: RunRequest, augmented: Outcome, teacher: Trained | None, student: Trained, earlier: dict[str, Any] | None
) -> dict[str, Any]:
    """Everything that is known of a finished run.

    Args:
        request: what the user asked for.
        augmented: the first stage.
        teacher: the second; None where a teacher was given.
        student: the third.
        earlier: what metrics.json said before; its sizes and latencies stay where no model was made since.
    """
    found = student.metrics
    scores = {"teacher": found["teacher_dev"], "student": found["dev"]}
    rows = _dev_rows(request, {**scores["teacher"], **scores["student"]})
    near_chance = {model: _near_chance(request, parts) for model, parts in scores.items()}
    made = student.fresh or (teacher is not None and teacher.fresh)
    return {
        "task": found["task"],
        "augmented": {"rows": augmented.rows, "examples": augmented.augmented.get("source_rows", 0)},
        "dev": scores,
        "dev_rows": rows,
        "intervals": {model: _intervals(parts, rows) for model, parts in scores.items()},
        "near_chance": near_chance,
        "kept": _kept(scores, {part for parts in near_chance.values() for part in parts}),
        "parameters": found["parameters"],
        **_measured(request, None if made else earlier),
        "layer_map": found["layer_map"],
        "truncated_share": found.get("truncated_share"),
        "stages": {**({"finetune": _brief(teacher)} if teacher is not None else {}), **found["stages"]},
        "folders": {"teacher": _teacher(request), "student": request.distill.out},
        "profile": request.profile,
    }


def _teacher(request: RunRequest) -> str:
    return request.finetune.out if request.finetune is not None else request.distill.teacher


def _dev_rows(request: RunRequest, dev: Scores) -> dict[str, int]:
    import pyarrow.parquet as pq

    data, storage = open_data(request.distill.data), stage_storage(request.distill.out, "a model")
    return {part: pq.read_metadata(write_part(storage, data, part)).num_rows for part in dev}


def _intervals(scores: Scores, rows: dict[str, int]) -> dict[str, dict[str, tuple[float, float]]]:
    """95% intervals, of accuracies alone."""
    return {
        part: {ACCURACY: wilson_interval(found[ACCURACY], rows[part])}
        for part, found in scores.items()
        if part in rows and ACCURACY in found
    }


def _near_chance(request: RunRequest, scores: Scores) -> list[str]:
    """The dev parts on which a model may be no better than guessing."""
    data, storage = open_data(request.distill.data), stage_storage(request.distill.out, "a model")
    return [part for part, found in scores.items() if chance(found, storage, data, part) is not None]


def _kept(scores: dict[str, Scores], near_chance: set[str]) -> Scores:
    """The student's share of its teacher's results; where one of them may be a guess's, it would tell nothing."""
    return {
        part: {
            name: value / scores["teacher"][part][name]
            for name, value in metrics.items()
            if scores["teacher"].get(part, {}).get(name)
        }
        for part, metrics in scores["student"].items()
        if part not in near_chance
    }


def _measured(request: RunRequest, earlier: dict[str, Any] | None) -> dict[str, Any]:
    """Sizes and latencies, and for the demo some verdicts; those of an earlier command where it has them all."""
    wanted = (*MEASURED, VERDICTS) if request.demo else MEASURED
    if earlier is not None and all(name in earlier for name in wanted):
        return {name: earlier[name] for name in wanted}
    import torch

    from pipelines.demo.verdicts import choose_verdicts
    from pipelines.run.latency import ask, model_size, single_texts

    distill = request.distill
    found = {
        "teacher": find_model(_teacher(request), distill.teacher_revision, "teacher"),
        "student": find_model(distill.out, None, "student"),
    }
    data = open_data(distill.data)
    models = {name: load_in_order(files, load_config(files), data.task) for name, files in found.items()}
    labelled = bool(data.dev_parts)
    place = shards_of(f"{request.augment.out.rstrip('/')}/augmented")
    if labelled:
        place = write_part(stage_storage(distill.out, "a model"), data, data.dev_parts[0])
    columns = task_columns(data.task, labelled)
    answers = ask(models, single_texts(place, columns, load_tokenizer(found["student"]), distill.reading.max_length))
    measured: dict[str, Any] = {
        "sizes": {name: model_size(model, found[name].folder) for name, model in models.items()},
        "latency": {
            "milliseconds": answers.milliseconds,
            "texts": len(answers.rows),
            "threads": torch.get_num_threads(),
            "device": "cpu",
        },
    }
    if request.demo:
        measured[VERDICTS] = choose_verdicts(data.task, place, answers)
    return measured


def _brief(trained: Trained) -> dict[str, Any]:
    return {name: trained.metrics[name] for name in ("steps", "examples", "rows", "seconds", "best_step")}
