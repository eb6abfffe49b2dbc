"""Turns the options of a verb into the request of its job: the one place where options become what the jobs read."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from augment.presets import preset
from pipelines.augmenting.request import AugmentRequest, ResampleRequest
from pipelines.augmenting.settings import Compute, JobSettings
from pipelines.engines import EngineSettings
from pipelines.errors import UserError
from pipelines.evaluating.output_files import check_place
from pipelines.general.request import GeneralRequest, PretrainRequest
from pipelines.machine.devices import local_device, named_device
from pipelines.machine.precision import training_precision
from pipelines.methods import bert_small
from pipelines.methods.finetune import RECIPE
from pipelines.methods.names import GENERAL_METHODS, METHODS
from pipelines.options import verbs
from pipelines.options.auditing import AuditOptions
from pipelines.options.augmenting import AugmentOptions, ResampleOptions
from pipelines.options.config_file import config_text
from pipelines.options.data import CorpusChoice, OnBadRow, PairedCorpus
from pipelines.options.models import RANDOM, STARTS
from pipelines.options.option import Options, flag
from pipelines.options.running import Device, GeneralMachine, Machine
from pipelines.options.teacher_cache import GeneralCacheChoice, Keep
from pipelines.options.training import GeneralRecipe, LossChoice, MaskedLmChoice, PackedReading, Profile, Recipe
from pipelines.options.verbs import EvaluateOptions
from pipelines.tasks.glue import GLUE, plain_name
from pipelines.tasks.squad import MAX_LENGTH, is_squad
from pipelines.tasks.task import Task
from pipelines.training.recipe import LEFT_OUT, QUICK_ROWS, QUICK_SOURCES, StageRecipe
from pipelines.training.request import DistillRequest, FinetuneRequest

if TYPE_CHECKING:
    from pipelines.options.output import Answers
    from pipelines.whole_run.run_job import RunRequest

    Trained = TypeVar("Trained", verbs.FinetuneOptions, verbs.DistillOptions)

Request = TypeVar("Request", bound=Options)
Changed = TypeVar("Changed", bound=Options)


def augment_request(options: AugmentOptions) -> AugmentRequest:
    """The request behind the options of `augment`.

    Raises:
        UserError, AugmentError: a value that cannot be used; here and below.
    """
    data, rows, engine, output = options.data, options.rows, options.engine, options.output
    compute = _changed(options.compute, device=named_device(options.compute.device))
    workers = 1 if compute.device.startswith("cuda:") and engine.workers is None else engine.workers
    overrides = {**asdict(options.candidates), **options.draw.settings}
    if is_squad(data.task) and overrides["pairs"] is None:
        overrides["pairs"] = "first"  # contexts; questions on request
    candidates, draw = preset(options.preset, GLUE.get(plain_name(data.task), Task).official_n, **overrides)
    on_device = Compute(compute.device, compute.precision, compute.batch_tokens, engine.threads, compute.part_tokens)
    return AugmentRequest(
        task=data.task,
        out=f"runs/{data.task.lower()}" if output.out is None else output.out,
        mlm=options.models.mlm,
        glove=None if options.models.glove == "none" else options.models.glove,
        data=data.data,
        custom=data.custom,
        settings=JobSettings(
            candidates, draw, on_device, output.shard_rows, rows.limit, rows.on_bad_row, options.drop_leaks,
            balance=bool(options.draw.balance),
        ),
        engine=EngineSettings(
            engine.engine, workers, engine.threads, compute.device == "cuda", engine.address, engine.mixed_hardware
        ),
        mlm_revision=options.models.revision,
        data_revision=data.revision,
        overwrite=output.overwrite,
        verify=output.verify,
        allow_rejects=rows.allow_rejects,
        pairs=options.draw.pairs,
        by_class=options.draw.by_class,
        reuse=output.reuse,
    )  # fmt: skip


def resample_request(options: ResampleOptions) -> ResampleRequest:
    """The request behind the options of `resample`."""
    return ResampleRequest(
        options.candidates,
        options.out,
        options.draw.settings,
        options.drop_leaks,
        options.shards.shard_rows,
        EngineSettings(options.workers.engine, options.workers.workers, 1, False, options.workers.address),
        options.shards.overwrite,
        options.shards.verify,
        options.protected.protect or (),
        options.draw.by_class,
        options.draw.balance,
    )


def finetune_request(options: verbs.FinetuneOptions) -> FinetuneRequest:
    """The request behind the options of `finetune`."""
    recipe = _recipe(RECIPE, "finetune", options.profile, options.recipe)
    return _decided(FinetuneRequest, _windows(_quick(options)), data=options.data.with_labels(), recipe=recipe)


def distill_request(options: verbs.DistillOptions) -> DistillRequest:
    """The request behind the options of `distill`."""
    start = options.chosen_start
    if METHODS[options.method].corpus == "pretrain" and start in ("", *STARTS):
        raise UserError(
            f"--method {options.method}: expected --student-init with a folder that `tinyaug pretrain` made (in `run`: "
            f"or --corpus, to make one), found {start or 'none'}"
        )
    method, decided = METHODS[options.method], {"intermediate": LEFT_OUT, "prediction": LEFT_OUT}
    for name, usual in method.recipes(plain_name(options.data.task)).items():
        recipe = usual.from_random() if start == RANDOM else usual
        decided[name] = _recipe(recipe, name, options.profile, getattr(options, name))
    return _decided(
        DistillRequest,
        _windows(_quick(options)),
        data=options.data.with_labels(),
        teacher=options.chosen_teacher,
        start=start,
        student=options.student or (method.student if start in STARTS else ""),
        layer_map=options.chosen_map,
        **decided,
    )


def cache_request(options: verbs.CacheTeacherOptions) -> DistillRequest:
    """The request behind the options of `cache-teacher`: of its student only the layers count, no weights are read."""
    if not METHODS[options.method].taught:
        raise UserError(f"--method {options.method}: expected a method that learns from its teacher")
    shape = "" if options.start in STARTS else options.start
    return distill_request(_changed(options, student=options.student or shape, start=RANDOM))


def general_request(options: verbs.GeneralOptions) -> GeneralRequest:
    """The request behind the options of `distill-general`."""
    method, start = GENERAL_METHODS[options.method], options.chosen_start
    return _decided(
        GeneralRequest,
        options,
        start=start,
        student=options.student or (method.student if start in STARTS else ""),
        layer_map=options.chosen_map,
        masked_lm=options.chosen_masked_lm,
        recipe=method.recipe.changed(options.recipe),
    )


def pretrain_request(options: verbs.PretrainOptions) -> PretrainRequest:
    """The request behind the options of `pretrain`."""
    return _decided(PretrainRequest, options, recipe=bert_small.RECIPE.changed(options.recipe))


def evaluate_request(options: verbs.EvaluateOptions) -> EvaluateOptions:
    """The request behind the options of `evaluate`."""
    if options.json_file is not None:
        check_place(flag(type(options), "json_file"), options.json_file)
    return _decided(EvaluateOptions, options, data=options.data.with_labels())


def audit_request(options: AuditOptions) -> AuditOptions:
    """The request behind the options of `audit`."""
    return _decided(AuditOptions, options)


def run_request(options: verbs.RunOptions) -> RunRequest:
    """The requests behind the options of `run`; teacher, student and caches are in the run directory."""
    from pipelines.whole_run.run_job import RunRequest  # it loads what trains

    rows, profile = options.augment.rows, options.distill.profile
    if profile == Profile.quick and rows.limit is None:
        rows = _changed(rows, limit=QUICK_SOURCES)
    augment = augment_request(_changed(options.augment, rows=rows))
    root = augment.out.rstrip("/")
    data = _changed(options.augment.data, skip_bad_rows=rows.on_bad_row == OnBadRow.skip)
    finetune, encoder, revision = None, options.teacher_model, None
    if options.teacher is None:
        encoder = options.teacher_model or augment.mlm
        revision = options.teacher_revision if options.teacher_model else augment.mlm_revision
        train = f"{root}/augmented" if options.augment_teacher else None
        made = _changed(options.finetune, data=data, train=train, model=encoder, revision=revision)
        finetune = finetune_request(_changed(made, out=f"{root}/teacher"))
    general, start = _over_corpus(options, encoder or augment.mlm, revision, root), {}
    if general is not None:
        start = {"start": general.out}
    cache = options.distill.cache
    if cache.mode != Keep.off and cache.folder is None:
        cache = _changed(cache, folder=Path(root) / "teacher_cache")
    distill = distill_request(
        _changed(
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
    return RunRequest(augment, finetune, distill, answers, stated, rows.demo, general, config, options.baseline)


def _over_corpus(
    options: verbs.RunOptions, encoder: str, revision: str | None, root: str
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
        return _decided(
            PretrainRequest, made, recipe=_recipe(bert_small.RECIPE, "pretraining", distill.profile, given.recipe)
        )
    method, losses = GENERAL_METHODS[distill.method], LossChoice(heads=distill.losses.heads)
    general = verbs.GeneralOptions(
        corpus=CorpusChoice(**corpus), teacher=encoder, teacher_revision=revision, method=distill.method,
        student=distill.student, layer_map=distill.chosen_map, masked_lm=MaskedLmChoice(), losses=losses,
        cache=GeneralCacheChoice(mode=Keep.off if distill.cache.mode == Keep.off else Keep.auto),
        recipe=GeneralRecipe(**asdict(given.recipe)), **shared,
    )  # fmt: skip
    request = general_request(general)
    return replace(request, recipe=_recipe(method.recipe, "general", distill.profile, given.recipe))


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


def _decided(kind: type[Request], options: Any, **decided: Any) -> Request:
    """A request with what was typed and what was decided, such as recipes; the machine is that of this process.

    From here on this process uses the GPU that was named.
    """
    machine: Machine = _changed(options.machine, device=local_device(options.machine.device))
    machine = _changed(machine, precision=training_precision(machine.precision, machine.device))
    decided["machine"] = machine
    same = {one.name: getattr(options, one.name) for one in fields(kind) if one.name not in decided}
    return kind(**same, **decided)


def _changed(options: Changed, **values: Any) -> Changed:
    """The options with other values; what the user typed stays known."""
    changed = replace(options, **values)
    object.__setattr__(changed, "typed", options.typed)
    return changed


def _quick(options: Trained) -> Trained:
    """The options with the rows of the quick profile, where the user named none."""
    if options.profile != Profile.quick or options.reading.train_rows is not None:
        return options
    return _changed(options, reading=_changed(options.reading, train_rows=QUICK_ROWS))


def _windows(options: Trained) -> Trained:
    """The options with the length of SQuAD's windows, where neither the user nor the demo named one."""
    usual = options.reading.max_length == type(options.reading).max_length
    if not is_squad(options.data.task) or options.reading.has("max_length") or not usual:
        return options
    return _changed(options, reading=_changed(options.reading, max_length=MAX_LENGTH))


def _recipe(recipe: StageRecipe, stage: str, profile: str, given: Recipe) -> StageRecipe:
    return (recipe.quick(stage) if profile == Profile.quick else recipe).changed(given)
