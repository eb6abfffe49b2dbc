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
    from pipelines.cli.training_summary import show_filled, show_training_plan

    request = cache_request(options)
    if options.dry_run:
        from pipelines.teacher_cache.cache_plan import plan_teacher_cache

        return show_training_plan(plan_teacher_cache, request, options.profile)
    from pipelines.cli.terminal import TerminalReporter
    from pipelines.teacher_cache.cache_job import fill_teacher_cache

    with TerminalReporter() as reporter:
        filled = fill_teacher_cache(request, reporter)
    return show_filled(filled)
