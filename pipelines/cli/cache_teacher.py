"""`tinyaug cache-teacher`."""

from __future__ import annotations

from pipelines.cli import options as opt
from pipelines.cli import training_options as train


def cache_teacher(
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
    student_init: train.StartShape = "general",
    layer_map: train.LayerMap = "uniform",
    profile: train.Profile = "paper",
    batch_size_intermediate: train.BatchSizeIntermediate = None,
    max_length: train.MaxLength = 128,
    seed: train.Seed = 42,
    cache: train.Cache = "auto",
    cache_budget: train.CacheBudget = None,
    rebuild_cache: train.RefillCache = False,
    device: opt.Device = "auto",
    precision: train.Precision = "auto",
    dry_run: opt.DryRun = False,
) -> int:
    """Run the teacher over all training rows ahead of `distill`, which then takes --cache-dir OUT.

    Give it what `distill` will be given: data, teacher, student, layer map, lengths, precision, seed. Of the student
    its layers count alone.

    [bold]tinyaug cache-teacher --task sst2 --train runs/sst2/augmented --teacher runs/sst2/teacher --out runs/cache[/]
    """
    from pipelines.cli.training_requests import cache_request

    fixed = {
        "train": train_shards, "cache_dir": None, "losses": "embedding,attention,hidden", "layer_weights": None,
        "heads": "mean",  # of no loss: a student with any number of heads goes
        "temperature": 1.0, "epochs_intermediate": None, "epochs_prediction": None, "batch_size_prediction": None,
        "lr_intermediate": None, "lr_prediction": None, "max_steps": None, "accumulation": None,
        "checkpoint_every": 500, "overwrite": False,
    }  # fmt: skip
    request = cache_request({**locals(), **fixed})
    from pipelines.cli.training_progress import TrainingProgress
    from pipelines.cli.training_summary import show_filled, show_training_plan

    if dry_run:
        from pipelines.teacher_cache.cache_plan import plan_teacher_cache

        return show_training_plan(plan_teacher_cache, request, profile)
    from pipelines.teacher_cache.cache_job import fill_teacher_cache

    with TrainingProgress() as progress:
        filled = fill_teacher_cache(request, progress)
    show_filled(filled)
    return 0
