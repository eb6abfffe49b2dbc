"""`tinyaug finetune`."""

from __future__ import annotations

from pipelines.cli import options as opt
from pipelines.cli import training_options as train


def finetune(
    task: opt.Task,
    model: train.Model,
    out: train.Out,
    data: opt.Data = None,
    data_revision: opt.DataRevision = None,
    text: opt.Text = None,
    label: opt.Label = None,
    label_type: opt.LabelType = None,
    label_names: opt.LabelNames = None,
    train_rows: train.TrainRows = None,
    revision: train.ModelRevision = None,
    profile: train.Profile = "paper",
    epochs: train.Epochs = None,
    batch_size: train.BatchSize = None,
    lr: train.Rate = None,
    max_steps: train.MaxSteps = None,
    max_length: train.MaxLength = 128,
    seed: train.Seed = 42,
    accumulation: train.Accumulation = None,
    checkpoint_every: train.CheckpointEvery = 500,
    device: opt.Device = "auto",
    precision: train.Precision = "auto",
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
) -> int:
    """Fine-tune an encoder or masked LM on a task: the teacher of `distill`.

    Run the same command again to go on after a stop. The folder is an ordinary Hugging Face model.

    [bold]tinyaug finetune --task sst2 --data glue_data --model bert-base-uncased --out runs/sst2/teacher[/]
    """
    from pipelines.cli.training_requests import finetune_request

    request = finetune_request(dict(locals()))
    from pipelines.cli.training_progress import TrainingProgress
    from pipelines.cli.training_summary import show_trained, show_training_plan
    from pipelines.training.ranks import leave_ranks

    if dry_run:
        from pipelines.training.plans import plan_finetune

        return show_training_plan(plan_finetune, request, profile)
    from pipelines.found import Found
    from pipelines.training.finetune_job import run_finetune

    try:
        with TrainingProgress() as progress:
            trained = run_finetune(request, progress, Found(), profile)
        show_trained(trained, "finetune")
    finally:
        leave_ranks()
    return 0
