"""`tinyaug cache-teacher`."""

from __future__ import annotations

from pipelines.options.verbs import CacheTeacherOptions


def cache_teacher(options: CacheTeacherOptions) -> int:
    """Run the teacher over all training rows ahead of `distill`, which then takes --cache-dir OUT.

    Give it what `distill` will be given: data, teacher, student, layer map, lengths, precision, seed. Of the student
    its layers count alone.

    [bold]tinyaug cache-teacher --task sst2 --train runs/sst2/augmented --teacher runs/sst2/teacher --out runs/cache[/]
    """
    from pipelines.cli.requests import cache_request
    from pipelines.cli.terminal import TerminalReporter
    from pipelines.cli.training_summary import show_filled, show_plan
    from pipelines.found import Found
    from pipelines.teacher_cache.cache_job import CacheJob, fill_teacher_cache, plan_filling

    job = CacheJob(cache_request(options), Found())
    if options.dry_run:
        return show_plan(job, options.profile, plan_filling)
    with TerminalReporter() as reporter:
        return show_filled(fill_teacher_cache(job, reporter))
