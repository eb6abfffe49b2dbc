"""Turns the options of `tinyaug run` into the requests of its stages."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.cli.requests import (
    augment_request,
    change,
    decide,
    distill_request,
    finetune_request,
    general_request,
    recipe_of,
)
from pipelines.general.request import GeneralRequest, PretrainRequest
from pipelines.methods import bert_small
from pipelines.methods.finetune import RECIPE
from pipelines.methods.names import GENERAL_METHODS, METHODS
from pipelines.options import verbs
from pipelines.options.config_file import config_text
from pipelines.options.data import CorpusChoice, OnBadRow, PairedCorpus
from pipelines.options.models import RANDOM
from pipelines.options.running import Device, GeneralMachine
from pipelines.options.teacher_cache import GeneralCacheChoice, Keep
from pipelines.options.training import GeneralRecipe, LossChoice, MaskedLmChoice, PackedReading, Profile
from pipelines.options.verbs import EvaluateOptions
from pipelines.options.whole_run import RunOptions
from pipelines.training.recipe import QUICK_ROWS, QUICK_SOURCES, StageRecipe
from pipelines.training.request import DistillRequest

if TYPE_CHECKING:
    from pipelines.options.output import Answers
    from pipelines.whole_run.run_job import RunRequest


def run_request(options: RunOptions) -> RunRequest:
    """The requests behind the options of `run`; teacher, student and caches are in the run directory."""
    from pipelines.whole_run.run_job import RunRequest  # it loads what trains

    rows, profile = options.augment.rows, options.distill.profile
    if profile == Profile.quick and rows.limit is None:
        rows = change(rows, limit=QUICK_SOURCES)
    augment = augment_request(change(options.augment, rows=rows))
    root = augment.out.rstrip("/")
    data = change(options.augment.data, skip_bad_rows=rows.on_bad_row == OnBadRow.skip)
    finetune, encoder, revision = None, options.teacher_model, None
    if options.teacher is None:
        encoder = options.teacher_model or augment.mlm
        revision = options.teacher_revision if options.teacher_model else augment.mlm_revision
        train = f"{root}/augmented" if options.augment_teacher else None
        made = change(options.finetune, data=data, train=train, model=encoder, revision=revision)
        finetune = finetune_request(change(made, out=f"{root}/teacher"))
    general, start = _over_corpus(options, encoder or augment.mlm, revision, root), {}
    if general is not None:
        start = {"start": general.out}
    cache = options.distill.cache
    if cache.mode != Keep.off and cache.folder is None:
        cache = change(cache, folder=Path(root) / "teacher_cache")
    distill = distill_request(
        change(
            options.distill,
            out=f"{root}/student",
            data=data,
            train=f"{root}/augmented" if METHODS[options.distill.method].augmented else None,
            encoder=encoder,
            encoder_revision=revision,
            teacher=options.teacher or f"{root}/teacher",
            teacher_revision=options.teacher_revision if options.teacher else None,
            glove=options.augment.models.glove,
            cache=cache,
            **start,
        )
    )
    stated = "demo" if rows.demo and not options.distill.has("profile") else profile
    answers, config = _answers(options.answers, distill), config_text(options.typed)
    return RunRequest(
        augment, finetune, distill, answers, stated, rows.demo, general, config, _baseline(options, distill)
    )


def _baseline(options: RunOptions, distill: DistillRequest) -> StageRecipe | None:
    """How a baseline learns labels: as a teacher that is made here, or from drawn weights unless a rate was typed."""
    if not options.baseline:
        return None
    given = options.finetune.recipe
    recipe = recipe_of(RECIPE, "finetune", options.distill.profile, given)
    return recipe.from_random() if distill.start == RANDOM and not given.has("learning_rate") else recipe


def _over_corpus(
    options: RunOptions, encoder: str, revision: str | None, root: str
) -> GeneralRequest | PretrainRequest | None:
    """The stage of a run that reads its corpus; of its losses only how heads are compared is the task's, too."""
    given, distill, quick = options.general, options.distill, options.distill.profile == Profile.quick
    if given.corpus.place is None:
        return None
    limit = given.corpus.limit or (QUICK_ROWS if quick else None)
    shared: dict[str, Any] = {
        "out": f"{root}/general",
        "overwrite": distill.overwrite,
        "reading": PackedReading(max_length=distill.reading.max_length, seed=distill.reading.seed),
        "machine": GeneralMachine(**{one.name: getattr(distill.machine, one.name) for one in fields(GeneralMachine)}),
    }
    corpus = {one.name: getattr(given.corpus, one.name) for one in fields(PairedCorpus)} | {"limit": limit}
    if METHODS[distill.method].corpus == "pretrain":
        made = verbs.Pretraining(
            corpus=PairedCorpus(**corpus),
            tokenizer=encoder,
            tokenizer_revision=revision,
            student=distill.student or verbs.Pretraining.student,
            **shared,
        )
        return decide(
            PretrainRequest, made, recipe=recipe_of(bert_small.RECIPE, "pretraining", distill.profile, given.recipe)
        )
    method, losses = GENERAL_METHODS[distill.method], LossChoice(heads=distill.losses.heads)
    general = verbs.GeneralOptions(
        corpus=CorpusChoice(**corpus), teacher=encoder, teacher_revision=revision, method=distill.method,
        student=distill.student, layer_map=distill.chosen_map, masked_lm=MaskedLmChoice(), losses=losses,
        cache=GeneralCacheChoice(mode=Keep.off if distill.cache.mode == Keep.off else Keep.auto),
        recipe=GeneralRecipe(**asdict(given.recipe)), **shared,
    )  # fmt: skip
    request = general_request(general)
    return replace(request, recipe=recipe_of(method.recipe, "general", distill.profile, given.recipe))


def _answers(answers: Answers, distill: DistillRequest) -> EvaluateOptions | None:
    if answers.submission is None and answers.predictions is None:
        return None
    return EvaluateOptions(
        data=distill.data,
        model=distill.out,
        submission=answers.submission,
        predictions=answers.predictions,
        max_length=distill.reading.max_length,
        machine=Device(device=distill.machine.device, precision=distill.machine.precision),
    )
