"""Options that have an effect only under a condition: where it does not hold, a user who typed them is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pipelines.errors import UserError
from pipelines.methods.names import GENERAL_METHODS, METHODS
from pipelines.options.auditing import AuditOptions
from pipelines.options.models import FIRST_LAYERS, RANDOM, TEACHER_LAYERS
from pipelines.options.option import Options, groups_of, options_of
from pipelines.options.running import Engine, Workers
from pipelines.options.teacher_cache import CacheChoice, Keep
from pipelines.options.training import LossChoice
from pipelines.options.verbs import (
    DistillOptions,
    ExportOptions,
    Format,
    GeneralOptions,
    OnTask,
)
from pipelines.options.whole_run import AugmentInRun, RunOptions


@dataclass(frozen=True)
class Effect:
    """The condition under which options have an effect.

    Args:
        needed: what the user would have to give beside them, for messages.
        holds: whether the condition does, of the object that the options are in.
        places: fields of the options, behind the groups that they are in.
    """

    needed: str
    holds: Callable[[Any], bool]
    places: tuple[str, ...]


def _has_intermediate(options: DistillOptions) -> bool:
    return "intermediate" in METHODS[options.method].recipes(options.data.task)


def _intermediate(options: DistillOptions) -> bool:
    return options.intermediate.epochs != 0


def _weighs(options: DistillOptions) -> bool:
    """Whether layer weights have an effect: without an intermediate stage that of predictions alone has one."""
    return _intermediate(options) or options.losses.weight_of_predictions != 1


def _maps(options: DistillOptions) -> bool:
    """Whether the start takes the layers that are mapped."""
    return options.chosen_start == TEACHER_LAYERS


def _layers(options: DistillOptions) -> bool:
    """Whether a stage that learns from the teacher's layers is not left out."""
    return getattr(options, METHODS[options.method].layered).epochs != 0


def _keeps_layers(options: GeneralOptions) -> bool:
    soft = options.chosen_masked_lm.soft > 0
    if not _learns_layers(options):
        return soft or options.cosine > 0
    return options.losses.of_layers and options.losses.kept_of_layers(soft).of_layers


def _reads_corpus(options: RunOptions) -> bool:
    return options.general.corpus.place is not None


def _learns_layers(options: GeneralOptions) -> bool:
    return "losses" in GENERAL_METHODS[options.method].own


OF_LAYERS = ("losses.kinds", "losses.heads", "intermediate.batch_rows", "intermediate.learning_rate")
OF_PREDICTIONS = ("losses.temperature", "prediction.batch_rows", "prediction.learning_rate")
OF_PKD = ("pkd.alpha", "pkd.beta", "pkd.layers")
OF_ENCODER = ("encoder", "encoder_revision")
OF_TASK = tuple(f"data.{name}" for name in ("data", "revision", "text", "label", "label_type", "label_names"))
TARGETS = ("size.ms", "size.mb")
OF_CACHE = ("budget", "folder", "rebuild")
OF_TEACHER = ("finetune.recipe.epochs", "finetune.recipe.batch_rows", "finetune.recipe.learning_rate")
AUGMENTED = "a method that learns from augmented rows"
OF_CORPUS = (
    *(f"general.corpus.{name}" for name in ("column", "config", "revision", "limit", "rows")),
    *(f"general.recipe.{name}" for name in ("epochs", "batch_rows", "learning_rate")),
)
INTERMEDIATE = "a method with an intermediate stage"
STAGE = "--epochs-intermediate above 0"
# By training, too:
HEEDED = ("data", "demo", "device", "dry_run", "mlm", "on_bad_row", "out", "overwrite", "revision", "seed")


def _of_augmenting(kind: type[Options], place: str) -> tuple[str, ...]:
    """The options of a group and of the groups in it that augmentation alone reads."""
    own = tuple(f"{place}.{name}" for name in options_of(kind) if name not in HEEDED)
    groups = [(name, group) for name, group in groups_of(kind).items() if name not in HEEDED]
    return own + tuple(one for name, group in groups for one in _of_augmenting(group, f"{place}.{name}"))


SHARDS = "--train with Parquet shards"
EFFECTS: dict[type[Options], tuple[Effect, ...]] = {
    OnTask: (Effect(SHARDS, lambda it: it.train is not None, ("max_flip",)),),
    Workers: (Effect("--engine ray or auto", lambda it: it.engine != Engine.local, ("address",)),),
    CacheChoice: (Effect("--cache other than off", lambda it: it.mode != Keep.off, OF_CACHE),),
    LossChoice: (Effect("attention among --losses", lambda it: "attention" in it.kinds, ("heads",)),),
    DistillOptions: (
        Effect(INTERMEDIATE, _has_intermediate, ("intermediate.epochs", "losses.layer_weights", *OF_LAYERS)),
        Effect(
            f"{INTERMEDIATE}, or --student-init {TEACHER_LAYERS},",
            lambda it: _has_intermediate(it) or _maps(it),
            ("layer_map",),
        ),
        Effect(STAGE, _intermediate, OF_LAYERS),
        Effect(STAGE, _weighs, ("losses.layer_weights",)),
        Effect(STAGE, lambda it: _intermediate(it) or _maps(it), ("layer_map",)),
        Effect(f"{STAGE} with full", lambda it: _layers(it) or it.cache.mode != Keep.full, ("cache.mode",)),
        Effect("--epochs-prediction above 0", lambda it: it.prediction.epochs != 0, OF_PREDICTIONS),
        Effect(
            "a method that learns from its teacher",
            lambda it: METHODS[it.method].taught,
            ("losses.temperature", "cache.mode", *(f"cache.{name}" for name in OF_CACHE)),
        ),
        Effect(AUGMENTED, lambda it: METHODS[it.method].shards, ("train",)),
        Effect("--method bert-pkd", lambda it: "pkd" in METHODS[it.method].own, OF_PKD),
        Effect(SHARDS, lambda it: it.train is not None, ("soft_labels",)),
        Effect(
            "no --soft-labels", lambda it: it.soft_labels is None, ("cache.mode", *(f"cache.{one}" for one in OF_CACHE))
        ),
        Effect("--method bilstm-soft", lambda it: "glove" in METHODS[it.method].own, ("glove",)),
        Effect(
            "a method whose student is an encoder",
            lambda it: METHODS[it.method].encoder,
            ("student", "start", "losses.temperature", "size.share", *TARGETS),
        ),
        Effect("no --student", lambda it: not it.has("student"), TARGETS),
        Effect("--student-init random", lambda it: it.chosen_start == RANDOM, TARGETS),
        Effect("--beta above 0", lambda it: it.pkd.beta > 0, ("pkd.layers",)),
        Effect("--student-init first-layers", lambda it: it.chosen_start == FIRST_LAYERS, OF_ENCODER),
    ),
    AuditOptions: (Effect("no --all", lambda it: not it.all, ("sample", "seed")),),
    GeneralOptions: (
        Effect("--method tinybert", _learns_layers, ("losses.kinds", "losses.heads", "losses.layer_weights")),
        Effect(
            f"--method tinybert, or --student-init {TEACHER_LAYERS},",
            lambda it: _learns_layers(it) or it.chosen_start == TEACHER_LAYERS,
            ("layer_map",),
        ),
        Effect("--method distilbert", lambda it: "cosine" in GENERAL_METHODS[it.method].own, ("cosine",)),
        Effect("--mlm-weight or --mlm-soft", lambda it: it.chosen_masked_lm.on, ("masked_lm.whole_word",)),
        Effect("--mlm-soft", lambda it: it.chosen_masked_lm.soft > 0, ("losses.temperature",)),
        Effect("--student-init random", lambda it: it.chosen_start == RANDOM, ("embeddings",)),
        Effect(
            "a loss of attention or hidden states, whose states are kept, with a weight above 0",
            lambda it: it.cache.mode != Keep.full or _keeps_layers(it),
            ("cache.mode",),
        ),
        Effect(
            "--cache full, for auto keeps nothing where each epoch masks other tokens,",
            lambda it: it.cache.mode != Keep.auto or not it.chosen_masked_lm.on,
            tuple(f"cache.{name}" for name in OF_CACHE),
        ),
    ),
    ExportOptions: (
        Effect("--format onnx", lambda it: it.format == Format.onnx, ("int8",)),
        Effect("--task", lambda it: it.data.task is not None, OF_TASK),
    ),
    RunOptions: (
        Effect(
            AUGMENTED,
            lambda it: METHODS[it.distill.method].augmented,
            (*_of_augmenting(AugmentInRun, "augment"), "augment_teacher"),
        ),
        Effect(
            f"--method {', '.join(name for name, one in METHODS.items() if one.corpus)}",
            lambda it: bool(METHODS[it.distill.method].corpus),
            ("general.corpus.place",),
        ),
        Effect("--corpus", _reads_corpus, OF_CORPUS),
        Effect("a method that learns from its teacher", lambda it: METHODS[it.distill.method].taught, ("baseline",)),
        Effect("no --corpus, from which its start is made,", lambda it: not _reads_corpus(it), ("distill.start",)),
        Effect(
            "no --corpus, over which a shape that is named learns first,",
            lambda it: not _reads_corpus(it),
            tuple(f"distill.{place}" for place in TARGETS),
        ),
        Effect(
            "no --teacher, which is not fine-tuned,", lambda it: it.teacher is None, (*OF_TEACHER, "augment_teacher")
        ),
        Effect(
            "no --teacher, which is not fine-tuned, or --student-init first-layers",
            lambda it: it.teacher is None or it.distill.chosen_start == FIRST_LAYERS or _reads_corpus(it),
            ("teacher_model",),
        ),
        Effect(
            "--teacher or --teacher-model with a name on the hub",
            lambda it: it.teacher is not None or it.teacher_model is not None,
            ("teacher_revision",),
        ),
    ),
}


def refuse_idle(options: Options) -> None:
    """Refuses options that were typed and have no effect.

    Args:
        options: of a verb, or a group of them, with the groups in it.

    Raises:
        UserError: naming the options, and what they need.
    """
    for name in groups_of(type(options)):
        refuse_idle(getattr(options, name))
    for effect in (effect for kind in type(options).__mro__ for effect in EFFECTS.get(kind, ())):
        idle = [name for place in effect.places if (name := _typed(options, place))]
        if idle and not effect.holds(options):
            names, it, has = " and ".join(idle), *(("it", "it has") if len(idle) == 1 else ("them", "they have"))
            raise UserError(
                f"{names}: expected {effect.needed} beside {it}, else {has} no effect; change that or leave {names} out"
            )


def _typed(options: Options, place: str) -> str:
    """The option at a place as it was typed, with a value of text; empty for one that was not."""
    *groups, name = place.split(".")
    owner: Options = reduce(getattr, groups, options)
    if not owner.has(name):
        return ""
    value, one = getattr(owner, name), options_of(type(owner))[name]
    typed = owner.typed[one.name]
    if typed is False:  # a switch without a flag for off asks for nothing
        return one.flag.partition("/")[2]
    return f"{one.name} {value}" if isinstance(value, str) and typed is not True else one.name
