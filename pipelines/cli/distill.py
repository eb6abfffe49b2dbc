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
    from pipelines.cli.training_summary import show_trained, show_training_plan

    request = distill_request(options)
    if options.dry_run:
        from pipelines.training.plans import plan_distillation

        return show_training_plan(plan_distillation, request, options.profile)
    from pipelines.cli.terminal import training_reporter
    from pipelines.distilling.distill_job import run_distill
    from pipelines.found import Found

    with training_reporter() as reporter:
        trained = run_distill(request, reporter, Found(), options.profile)
    return show_trained(trained, "distill")
