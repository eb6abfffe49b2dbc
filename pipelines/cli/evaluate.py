"""`tinyaug evaluate`."""

from __future__ import annotations

from pipelines.cli import options as opt
from pipelines.cli import training_options as train


def evaluate(
    task: opt.Task,
    model: train.Judged,
    data: opt.Data = None,
    data_revision: opt.DataRevision = None,
    text: opt.Text = None,
    label: opt.Label = None,
    label_type: opt.LabelType = None,
    label_names: opt.LabelNames = None,
    revision: train.ModelRevision = None,
    submission: train.Submission = None,
    predictions: train.Predictions = None,
    json_file: train.Json = None,
    max_length: train.JudgedLength = None,
    batch_size: train.JudgedRows = 64,
    device: opt.Device = "auto",
    precision: train.Precision = "auto",
) -> int:
    """Judge a model on a task's dev parts, and answer the GLUE server's test sets.

    [bold]tinyaug evaluate --task sst2 --model runs/sst2/student --data glue_data --submission sst2.zip[/]
    """
    from pipelines.cli.training_requests import evaluate_request

    request = evaluate_request(dict(locals()))
    from pipelines.cli.training_progress import TrainingProgress
    from pipelines.cli.training_summary import show_evaluated
    from pipelines.evaluating.evaluate_job import run_evaluate
    from pipelines.found import Found

    with TrainingProgress() as progress:
        found = run_evaluate(request, progress, Found())
    show_evaluated(request, found, json_file)
    return 0
