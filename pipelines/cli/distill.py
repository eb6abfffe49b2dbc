"""`tinyaug distill`."""

from __future__ import annotations

from pipelines.cli import options as opt
from pipelines.cli import training_options as train


def distill(
    task: opt.Task,
    teacher: train.Teacher,
    out: train.Out,
    train_shards: train.Train = None,
    data: opt.Data = None,
    data_revision: opt.DataRevision = None,
    text: opt.Text = None,
    label: opt.Label = None,
    label_type: opt.LabelType = None,
    label_names: opt.LabelNames = None,
    train_rows: train.TrainRows = None,
    teacher_revision: train.TeacherRevision = None,
    student: train.Student = None,
    student_init: train.StudentInit = "general",
    layer_map: train.LayerMap = "uniform",
    profile: train.Profile = "paper",
    epochs_intermediate: train.EpochsIntermediate = None,
    epochs_prediction: train.EpochsPrediction = None,
    max_steps: train.MaxSteps = None,
    batch_size_intermediate: train.BatchSizeIntermediate = None,
    batch_size_prediction: train.BatchSizePrediction = None,
    lr_intermediate: train.RateIntermediate = None,
    lr_prediction: train.RatePrediction = None,
    max_length: train.MaxLength = 128,
    seed: train.Seed = 42,
    losses: train.Losses = "embedding,attention,hidden",
    layer_weights: train.LayerWeights = None,
    temperature: train.Temperature = 1.0,
    heads: train.Heads = "none",
    cache: train.Cache = "auto",
    cache_budget: train.CacheBudget = None,
    cache_dir: train.CacheDir = None,
    rebuild_cache: train.RebuildCache = False,
    accumulation: train.Accumulation = None,
    checkpoint_every: train.CheckpointEvery = 500,
    device: opt.Device = "auto",
    precision: train.Precision = "auto",
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
) -> int:
    """Distil a teacher into a small student: its layers first, then its predictions.

    Run the same command again to go on after a stop. Try it first with --dry-run for what it costs, or with
    --profile quick.

    [bold]tinyaug distill --task sst2 --train runs/sst2/augmented --teacher runs/sst2/teacher --out runs/sst2/student[/]
    """
    from pipelines.cli.training_requests import distill_request

    request = distill_request({**locals(), "train": train_shards})
    from pipelines.cli.training_progress import TrainingProgress
    from pipelines.cli.training_summary import show_trained, show_training_plan
    from pipelines.training.ranks import leave_ranks

    if dry_run:
        from pipelines.training.plans import plan_distillation

        return show_training_plan(plan_distillation, request, profile)
    from pipelines.distilling.distill_job import run_distill
    from pipelines.found import Found

    try:
        with TrainingProgress() as progress:
            trained = run_distill(request, progress, Found(), profile)
        show_trained(trained, "distill")
    finally:
        leave_ranks()
    return 0
