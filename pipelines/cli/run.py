"""`tinyaug run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.cli import options as opt
from pipelines.cli import training_options as train

if TYPE_CHECKING:
    from pipelines.run.run_job import RunRequest


def run(
    task: opt.Task,
    data: opt.Data = None,
    data_revision: opt.DataRevision = None,
    text: opt.Text = None,
    label: opt.Label = None,
    label_type: opt.LabelType = None,
    label_names: opt.LabelNames = None,
    limit: opt.Limit = None,
    on_bad_row: opt.OnBadRow = "stop",
    allow_rejects: opt.AllowRejects = False,
    demo: opt.Demo = False,
    train_rows: train.TrainRows = None,
    mlm: opt.Mlm = None,
    revision: opt.Revision = None,
    glove: opt.Glove = None,
    teacher: train.GivenTeacher = None,
    teacher_model: train.TeacherModel = None,
    teacher_revision: train.TeacherRevision = None,
    student: train.Student = None,
    student_init: train.GivenStart = None,
    layer_map: train.LayerMap = "uniform",
    preset: opt.Preset = "paper",
    n: opt.N = None,
    p: opt.P = None,
    k: opt.K = None,
    context: opt.Context = None,
    mask_spacing: opt.MaskSpacing = None,
    exclude_original: opt.ExcludeOriginal = None,
    skip_stopwords: opt.SkipStopwords = None,
    punctuation: opt.Punctuation = None,
    protect: opt.Protect = None,
    keep_whole: opt.KeepWhole = None,
    pairs: opt.Pairs = None,
    pair_context: opt.PairContext = None,
    unique: opt.Unique = None,
    drop_leaks: opt.DropLeaks = False,
    max_words: opt.MaxWords = None,
    profile: train.GivenProfile = None,
    epochs_finetune: train.EpochsFinetune = None,
    epochs_intermediate: train.EpochsIntermediate = None,
    epochs_prediction: train.EpochsPrediction = None,
    max_steps: train.MaxSteps = None,
    batch_size_finetune: train.BatchSizeFinetune = None,
    batch_size_intermediate: train.BatchSizeIntermediate = None,
    batch_size_prediction: train.BatchSizePrediction = None,
    lr_finetune: train.RateFinetune = None,
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
    engine: opt.Engine = "auto",
    workers: opt.Workers = None,
    threads: opt.Threads = 1,
    address: opt.Address = None,
    mixed_hardware: opt.MixedHardware = False,
    device: opt.Device = "auto",
    augment_precision: train.AugmentPrecision = "auto",
    train_precision: train.TrainPrecision = "auto",
    batch_tokens: opt.BatchTokens = "auto",
    accumulation: train.Accumulation = None,
    checkpoint_every: train.CheckpointEvery = 500,
    out: opt.Out = None,
    shard_rows: opt.ShardRows = 4096,
    submission: train.Submission = None,
    predictions: train.Predictions = None,
    overwrite: opt.Overwrite = False,
    verify: opt.Verify = False,
    dry_run: opt.DryRun = False,
) -> int:
    """From a task to a student: check everything, augment, fine-tune a teacher, distil, evaluate, sum up.

    Run the same command again to go on after a stop: every stage that is done is skipped. Try it first with
    --demo, which needs no network and four minutes; with --dry-run for what it costs; or with --profile quick.

    [bold]tinyaug run --task sst2 --demo[/]

    [bold]tinyaug run --task sst2 --out runs/sst2[/]

    [bold]tinyaug run --task sst2 --data glue_data --teacher runs/teacher --student tinybert6 --out runs/sst2[/]
    """
    from pipelines.cli.run_requests import run_request

    return _run(run_request(dict(locals())), dry_run)


def _run(request: RunRequest, dry_run: bool) -> int:
    from pipelines.cli.run_demo import show_demo, welcome
    from pipelines.cli.run_summary import TerminalReporting, show_run, show_run_plan
    from pipelines.found import Found
    from pipelines.run.run_job import run_task
    from pipelines.training.ranks import leave_ranks

    if dry_run:
        return show_run_plan(request)
    if request.demo:
        welcome()
    try:
        outcome = run_task(request, TerminalReporting(), Found())
    finally:
        leave_ranks()
    (show_demo if request.demo else show_run)(outcome)
    return 0
