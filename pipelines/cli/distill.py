"""`tinyaug distill`, `distill-general`, `pretrain` and `cache-teacher`."""

from __future__ import annotations

from pipelines.options.verbs import CacheTeacherOptions, DistillOptions, GeneralOptions, PretrainOptions


def distill(options: DistillOptions) -> int:
    """Distil a teacher into a small student: its layers first, then its predictions.

    Run the same command again to go on after a stop. Try it first with --dry-run for what it costs, or with
    --profile quick.

    [bold]tinyaug distill --task sst2 --train runs/sst2/augmented --teacher runs/sst2/teacher --out runs/sst2/student[/]
    """
    from pipelines.cli.requests import distill_request
    from pipelines.cli.training_summary import carry_out
    from pipelines.distilling.distill_job import DistillJob
    from pipelines.found import Found

    return carry_out(DistillJob(distill_request(options), Found()), options.dry_run, options.profile)


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


def pretrain(options: PretrainOptions) -> int:
    """Pre-train a small BERT over a text corpus from random weights: masked LM and next-sentence prediction.

    The start of `--method bert-small`, and of any other method. Run the same command again to go on after a stop. Try
    it first with --dry-run for what it costs.

    [bold]tinyaug pretrain --corpus wiki/ --tokenizer bert-base-uncased --student tinybert4 --out small[/]
    """
    from pipelines.cli.requests import pretrain_request
    from pipelines.cli.training_summary import carry_out
    from pipelines.found import Found
    from pipelines.general.pretrain_job import PretrainJob

    return carry_out(PretrainJob(pretrain_request(options), Found()), options.dry_run)


def cache_teacher(options: CacheTeacherOptions) -> int:
    """Run the teacher over all training rows ahead of `distill`, which then takes --cache-dir OUT.

    Give it what `distill` will be given: data, teacher, student, layer map, lengths, precision, seed. Of the student
    its layers count alone: first-layers needs no --encoder here.

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
