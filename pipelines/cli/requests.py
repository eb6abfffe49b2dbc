"""Turns the options of a verb into the request of its job: the one place where options become what the jobs read."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
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
from pipelines.options.models import RANDOM, STARTS
from pipelines.options.option import Options, flag
from pipelines.options.running import Machine
from pipelines.options.training import Profile, Recipe
from pipelines.options.verbs import EvaluateOptions
from pipelines.tasks.glue import GLUE, plain_name
from pipelines.tasks.squad import MAX_LENGTH, is_squad
from pipelines.tasks.task import Task
from pipelines.training.recipe import LEFT_OUT, QUICK_ROWS, StageRecipe
from pipelines.training.request import DistillRequest, FinetuneRequest

if TYPE_CHECKING:
    Trained = TypeVar("Trained", verbs.FinetuneOptions, verbs.DistillOptions)

Request = TypeVar("Request", bound=Options)
Changed = TypeVar("Changed", bound=Options)


def augment_request(options: AugmentOptions) -> AugmentRequest:
    """The request behind the options of `augment`.

    Raises:
        UserError, AugmentError: a value that cannot be used; here and below.
    """
    data, rows, engine, output = options.data, options.rows, options.engine, options.output
    compute = change(options.compute, device=named_device(options.compute.device))
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
    recipe = recipe_of(RECIPE, "finetune", options.profile, options.recipe)
    return decide(FinetuneRequest, _windows(_quick(options)), data=options.data.with_labels(), recipe=recipe)


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
        decided[name] = recipe_of(recipe, name, options.profile, getattr(options, name))
    return decide(
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
    return distill_request(change(options, student=options.student or shape, start=RANDOM))


def general_request(options: verbs.GeneralOptions) -> GeneralRequest:
    """The request behind the options of `distill-general`."""
    method, start = GENERAL_METHODS[options.method], options.chosen_start
    return decide(
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
    return decide(PretrainRequest, options, recipe=bert_small.RECIPE.changed(options.recipe))


def evaluate_request(options: verbs.EvaluateOptions) -> EvaluateOptions:
    """The request behind the options of `evaluate`."""
    if options.json_file is not None:
        check_place(flag(type(options), "json_file"), options.json_file)
    return decide(EvaluateOptions, options, data=options.data.with_labels())


def audit_request(options: AuditOptions) -> AuditOptions:
    """The request behind the options of `audit`."""
    return decide(AuditOptions, options)


def decide(kind: type[Request], options: Any, **decided: Any) -> Request:
    """A request with what was typed and what was decided, such as recipes; the machine is that of this process.

    From here on this process uses the GPU that was named.
    """
    machine: Machine = change(options.machine, device=local_device(options.machine.device))
    machine = change(machine, precision=training_precision(machine.precision, machine.device))
    decided["machine"] = machine
    same = {one.name: getattr(options, one.name) for one in fields(kind) if one.name not in decided}
    return kind(**same, **decided)


def change(options: Changed, **values: Any) -> Changed:
    """The options with other values; what the user typed stays known."""
    changed = replace(options, **values)
    object.__setattr__(changed, "typed", options.typed)
    return changed


def _quick(options: Trained) -> Trained:
    """The options with the rows of the quick profile, where the user named none."""
    if options.profile != Profile.quick or options.reading.train_rows is not None:
        return options
    return change(options, reading=change(options.reading, train_rows=QUICK_ROWS))


def _windows(options: Trained) -> Trained:
    """The options with the length of SQuAD's windows, where neither the user nor the demo named one."""
    usual = options.reading.max_length == type(options.reading).max_length
    if not is_squad(options.data.task) or options.reading.has("max_length") or not usual:
        return options
    return change(options, reading=change(options.reading, max_length=MAX_LENGTH))


def recipe_of(recipe: StageRecipe, stage: str, profile: str, given: Recipe) -> StageRecipe:
    """A stage's recipe by profile, with what was typed."""
    return (recipe.quick(stage) if profile == Profile.quick else recipe).changed(given)
