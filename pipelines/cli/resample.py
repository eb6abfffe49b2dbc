"""`tinyaug resample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from pipelines.cli import options as opt


def resample(
    candidates: Annotated[str, Option(help="Run directory whose candidates are drawn from.", rich_help_panel=opt.DATA)],
    out: Annotated[str, Option(help="Run directory of the new draw.", rich_help_panel=opt.FILES)],
    n: opt.N = None,
    p: opt.P = None,
    seed: opt.Seed = None,
    pairs: opt.Pairs = None,
    unique: opt.Unique = None,
    protect: opt.Protect = None,
    drop_leaks: Annotated[
        bool | None, Option("--drop-leaks/--keep-leaks", help="Leave out leaked variants.", rich_help_panel=opt.WHAT)
    ] = None,
    engine: opt.Engine = "auto",
    workers: opt.Workers = None,
    address: opt.Address = None,
    shard_rows: Annotated[int | None, Option(help="Source rows of a shard.", rich_help_panel=opt.FILES)] = None,
    overwrite: opt.Overwrite = False,
    verify: opt.Verify = False,
    allow_rejects: opt.AllowRejects = False,
) -> int:
    """Draw variants anew from the candidates of a finished run: another n, p or seed, no masked LM.

    What is not given stays as it was in that run; K stays in any case. --protect keeps words beside those that the
    run kept.
    """
    from pipelines.augmenting.resample_job import ResampleRequest, run_resample
    from pipelines.cli.requests import protected
    from pipelines.cli.summary import show_outcome
    from pipelines.cli.terminal import TerminalReporter
    from pipelines.engines import EngineSettings

    duplicates = None if unique is None else "redraw" if unique else "keep"
    request = ResampleRequest(
        candidates,
        out,
        {"n": n, "p": p, "seed": seed, "pairs": pairs, "duplicates": duplicates},
        drop_leaks,
        shard_rows,
        EngineSettings(engine, workers, 1, False, address),
        overwrite,
        verify,
        protected(protect or []),
    )
    with TerminalReporter() as reporter:
        outcome = run_resample(request, reporter)
    show_outcome(outcome, Path(out).name)
    return 1 if outcome.rejected and not allow_rejects else 0
