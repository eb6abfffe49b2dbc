"""`tinyaug distill`."""

from __future__ import annotations

from pipelines.options.verbs import DistillOptions


def distill(options: DistillOptions) -> int:
    """Distil a teacher into a small student: its layers first, then its predictions.

    Run the same command again to go on after a stop. Try it first with --dry-run for what it costs, or with
    --profile quick.

    [bold]tinyaug distill --task sst2 --train runs/sst2/augmented --teacher runs/sst2/teacher --out runs/sst2/student[/]
    """
    from pipelines.cli.requests import distill_request
    from pipelines.cli.training_summary import show_plan, show_trained, train
    from pipelines.distilling.distill_job import DistillJob
    from pipelines.found import Found

    job = DistillJob(distill_request(options), Found())
    if options.dry_run:
        return show_plan(job, options.profile)
    return show_trained(train(job, options.profile), "distill")
