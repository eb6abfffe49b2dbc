"""`tinyaug finetune`."""

from __future__ import annotations

from pipelines.options.verbs import FinetuneOptions


def finetune(options: FinetuneOptions) -> int:
    """Fine-tune an encoder or masked LM on a task: the teacher of `distill`.

    Run the same command again to go on after a stop. The folder is an ordinary Hugging Face model.

    [bold]tinyaug finetune --task sst2 --data glue_data --model bert-base-uncased --out runs/sst2/teacher[/]
    """
    from pipelines.cli.requests import finetune_request
    from pipelines.cli.training_summary import show_trained, show_training_plan

    request = finetune_request(options)
    if options.dry_run:
        from pipelines.training.plans import plan_finetune

        return show_training_plan(plan_finetune, request, options.profile)
    from pipelines.cli.terminal import training_reporter
    from pipelines.found import Found
    from pipelines.training.finetune_job import run_finetune

    with training_reporter() as reporter:
        trained = run_finetune(request, reporter, Found(), options.profile)
    return show_trained(trained, "finetune")
