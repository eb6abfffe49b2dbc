"""`tinyaug finetune`."""

from __future__ import annotations

from pipelines.options.verbs import FinetuneOptions


def finetune(options: FinetuneOptions) -> int:
    """Fine-tune an encoder or masked LM on a task: the teacher of `distill`.

    Run the same command again to go on after a stop. The folder is an ordinary Hugging Face model.

    [bold]tinyaug finetune --task sst2 --data glue_data --model bert-base-uncased --out runs/sst2/teacher[/]
    """
    from pipelines.cli.requests import finetune_request
    from pipelines.cli.training_summary import carry_out
    from pipelines.found import Found
    from pipelines.training.finetune_job import FinetuneJob

    return carry_out(FinetuneJob(finetune_request(options), Found()), options.dry_run, options.profile)
