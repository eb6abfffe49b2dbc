"""`tinyaug augment` and `resample`."""

from __future__ import annotations

from pipelines.options.augmenting import AugmentOptions, ResampleOptions


def augment(options: AugmentOptions) -> int:
    """Augment a task's train part by Algorithm 1 and write sharded Parquet.

    Run the same command again to go on after a stop. Try it first with --demo, or with --dry-run for what it costs.

    [bold]tinyaug augment --task sst2 --demo[/]

    [bold]tinyaug augment --task sst2 --out runs/sst2[/]

    [bold]tinyaug augment --task custom --data reviews.csv --text body --label stars[/]
    """
    from pipelines.cli.requests import augment_request

    request = augment_request(options)
    if options.output.dry_run:
        from pipelines.cli.plans import show_plan

        return show_plan(request)
    from pipelines.augmenting.augment_job import run_augment
    from pipelines.cli.summary import show_outcome
    from pipelines.cli.terminal import TerminalReporter
    from pipelines.found import Found

    with TerminalReporter() as reporter:
        outcome = run_augment(request, reporter, Found())
    return show_outcome(outcome, request.out, request.allow_rejects)


def resample(options: ResampleOptions) -> int:
    """Draw variants anew from the candidates of a finished run: another n, p or seed, no masked LM.

    What is not given stays as it was in that run; K stays in any case. --protect keeps words beside those that the
    run kept.
    """
    from pipelines.augmenting.resample_job import run_resample
    from pipelines.cli.requests import resample_request
    from pipelines.cli.summary import show_outcome
    from pipelines.cli.terminal import TerminalReporter

    with TerminalReporter() as reporter:
        outcome = run_resample(resample_request(options), reporter)
    return show_outcome(outcome, options.out, options.rejects.allow_rejects)
