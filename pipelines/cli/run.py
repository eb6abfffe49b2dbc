"""`tinyaug run`."""

from __future__ import annotations

from pipelines.options.whole_run import RunOptions


def run(options: RunOptions) -> int:
    """From a task to a student: check everything, augment, fine-tune a teacher, distil, evaluate, sum up.

    Run the same command again to go on after a stop: every stage that is done is skipped. Try it first with
    --demo, which needs no network and four minutes; with --dry-run for what it costs; or with --profile quick.

    [bold]tinyaug run --task sst2 --demo[/]

    [bold]tinyaug run --task sst2 --out runs/sst2[/]

    [bold]tinyaug run --task sst2 --data glue_data --teacher runs/teacher --student tinybert6 --out runs/sst2[/]
    """
    from pipelines.cli.run_request import run_request
    from pipelines.cli.run_summary import show_run, show_run_plan

    request = run_request(options)
    if options.augment.output.dry_run:
        return show_run_plan(request)
    from pipelines.cli.run_demo import show_demo, welcome
    from pipelines.cli.terminal import training_reporter
    from pipelines.found import Found
    from pipelines.whole_run.run_job import run_task

    if request.demo:
        welcome(request)
    with training_reporter() as reporter:
        outcome = run_task(request, reporter, Found())
    return (show_demo if request.demo else show_run)(outcome)
