"""`tinyaug augment`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.cli import options as opt

if TYPE_CHECKING:
    from pipelines.augmenting.request import AugmentRequest


def augment(
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
    mlm: opt.Mlm = None,
    revision: opt.Revision = None,
    glove: opt.Glove = None,
    preset: opt.Preset = "paper",
    n: opt.N = None,
    p: opt.P = None,
    k: opt.K = None,
    seed: opt.Seed = None,
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
    engine: opt.Engine = "auto",
    workers: opt.Workers = None,
    threads: opt.Threads = 1,
    address: opt.Address = None,
    mixed_hardware: opt.MixedHardware = False,
    device: opt.Device = "auto",
    precision: opt.Precision = "auto",
    batch_tokens: opt.BatchTokens = "auto",
    out: opt.Out = None,
    shard_rows: opt.ShardRows = 4096,
    overwrite: opt.Overwrite = False,
    verify: opt.Verify = False,
    dry_run: opt.DryRun = False,
) -> int:
    """Augment a task's train part by Algorithm 1 and write sharded Parquet.

    Run the same command again to go on after a stop. Try it first with --demo, or with --dry-run for what it costs.

    [bold]tinyaug augment --task sst2 --demo[/]

    [bold]tinyaug augment --task sst2 --out runs/sst2[/]

    [bold]tinyaug augment --task custom --data reviews.csv --text body --label stars[/]
    """
    from pipelines.cli.requests import augment_request

    request = augment_request(dict(locals()))
    if dry_run:
        from pipelines.cli.plans import show_plan

        return show_plan(request)
    return _run(request)


def _run(request: AugmentRequest) -> int:
    from pipelines.augmenting.augment_job import run_augment
    from pipelines.cli.summary import show_outcome
    from pipelines.cli.terminal import TerminalReporter
    from pipelines.found import Found

    with TerminalReporter() as reporter:
        outcome = run_augment(request, reporter, Found())
    show_outcome(outcome, Path(request.out).name)
    if outcome.rejected and not request.allow_rejects:
        return 1
    return 0
