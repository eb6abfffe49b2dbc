"""`tinyaug evaluate`."""

from __future__ import annotations

from pipelines.options.verbs import EvaluateOptions


def evaluate(options: EvaluateOptions) -> int:
    """Judge a model on a task's dev parts, and answer the GLUE server's test sets.

    [bold]tinyaug evaluate --run runs/sst2[/]

    [bold]tinyaug evaluate --task sst2 --model runs/sst2/student --data glue_data --submission sst2.zip[/]
    """
    from pipelines.cli.requests import evaluate_request
    from pipelines.cli.terminal import TerminalReporter
    from pipelines.cli.training_summary import show_evaluated
    from pipelines.evaluating.evaluate_job import run_evaluate
    from pipelines.found import Found

    request = evaluate_request(options)
    with TerminalReporter() as reporter:
        if request.run is not None:
            reporter.message(f"model: {request.model}; --model judges another one of the same task")
        found = run_evaluate(request, reporter, Found())
    return show_evaluated(request, found, options.json_file)
