"""`tinyaug distill-general`."""

from __future__ import annotations

from pipelines.options.verbs import GeneralOptions


def distill_general(options: GeneralOptions) -> int:
    """Distil an encoder into a small general student over a text corpus: the start of `distill`.

    Run the same command again to go on after a stop. Try it first with --dry-run for what it costs.

    [bold]tinyaug distill-general --corpus wiki/ --teacher bert-base-uncased --student tinybert4 --out general[/]
    """
    from pipelines.cli.requests import general_request
    from pipelines.cli.training_summary import carry_out
    from pipelines.found import Found
    from pipelines.general.general_job import GeneralJob

    return carry_out(GeneralJob(general_request(options), Found()), options.dry_run)
