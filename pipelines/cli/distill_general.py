"""`tinyaug distill-general`."""

from __future__ import annotations

from pipelines.options.verbs import GeneralOptions


def distill_general(options: GeneralOptions) -> int:
    """Distil an encoder into a small general student over a text corpus: the start of `distill`.

    Run the same command again to go on after a stop. Try it first with --dry-run for what it costs.

    [bold]tinyaug distill-general --corpus wiki/ --teacher bert-base-uncased --student tinybert4 --out general[/]
    """
    from pipelines.cli.general_summary import show_general, show_general_plan
    from pipelines.cli.requests import general_request

    request = general_request(options)
    if options.dry_run:
        return show_general_plan(request)
    from pipelines.cli.terminal import training_reporter
    from pipelines.general.general_job import run_general

    with training_reporter() as reporter:
        trained = run_general(request, reporter)
    return show_general(trained)
