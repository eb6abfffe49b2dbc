"""`tinyaug resample`."""

from __future__ import annotations

from pipelines.options.verbs import ResampleOptions


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
