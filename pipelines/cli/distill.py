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
    from pipelines.cli.training_summary import carry_out
    from pipelines.distilling.distill_job import DistillJob
    from pipelines.found import Found

    return carry_out(DistillJob(distill_request(options), Found()), options.dry_run, options.profile)
