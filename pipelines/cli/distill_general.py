"""`tinyaug distill-general`."""

from __future__ import annotations

from pipelines.cli import general_options as general
from pipelines.cli import options as opt
from pipelines.cli import training_options as train


def distill_general(
    corpus: general.Corpus,
    teacher: general.Teacher,
    out: train.Out,
    text: general.CorpusText = "text",
    rows: general.Rows = "documents",
    corpus_config: general.CorpusConfig = None,
    corpus_revision: general.CorpusRevision = None,
    limit: general.Limit = None,
    pairs: general.Pairs = None,
    teacher_revision: train.TeacherRevision = None,
    student: train.Student = None,
    student_init: general.StudentInit = "random",
    embedding_init: general.EmbeddingInit = "random",
    layer_map: train.LayerMap = "uniform",
    epochs: train.Epochs = None,
    batch_size: general.BatchSize = None,
    lr: general.Rate = None,
    max_steps: general.MaxSteps = None,
    max_length: general.MaxLength = 128,
    mlm_weight: general.MlmWeight = 0.0,
    mlm_soft: general.MlmSoft = 0.0,
    whole_word: general.WholeWord = False,
    temperature: general.Temperature = 1.0,
    losses: general.Losses = "embedding,attention,hidden",
    layer_weights: general.LayerWeights = None,
    heads: train.Heads = "none",
    seed: train.Seed = 42,
    cache: general.Cache = "auto",
    cache_budget: train.CacheBudget = None,
    cache_dir: train.CacheDir = None,
    rebuild_cache: train.RebuildCache = False,
    accumulation: general.Accumulation = None,
    checkpoint_every: train.CheckpointEvery = 100,
    device: opt.Device = "auto",
    precision: train.Precision = "auto",
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
) -> int:
    """Distil an encoder into a small general student over a text corpus: the start of `distill`.

    Run the same command again to go on after a stop. Try it first with --dry-run for what it costs.

    [bold]tinyaug distill-general --corpus wiki/ --teacher bert-base-uncased --student tinybert4 --out general[/]
    """
    from pipelines.cli.general_requests import general_request

    request = general_request(dict(locals()))
    from pipelines.cli.general_summary import show_general, show_general_plan
    from pipelines.cli.training_progress import TrainingProgress
    from pipelines.training.ranks import leave_ranks

    if dry_run:
        return show_general_plan(request)
    from pipelines.general.general_job import run_general

    try:
        with TrainingProgress() as progress:
            trained = run_general(request, progress)
        show_general(trained)
    finally:
        leave_ranks()
    return 0
