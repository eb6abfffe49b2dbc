"""Options that have an effect only under a condition: where it does not hold, a user who typed them is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pipelines.errors import UserError
from pipelines.methods.names import METHODS
from pipelines.options.drawing import CandidateOptions, DrawOptions
from pipelines.options.models import FIRST_LAYERS
from pipelines.options.option import Options, flag, options_of
from pipelines.options.running import EngineOptions
from pipelines.options.teacher_cache import CacheChoice, Keep
from pipelines.options.training import LossChoice
from pipelines.options.verbs import DistillOptions, GeneralOptions, RunOptions


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
    return _has_intermediate(options) and options.intermediate.epochs != 0


def _weighs(options: DistillOptions) -> bool:
    """Whether layer weights have an effect: without an intermediate stage that of predictions alone has one."""
    return _intermediate(options) or (_has_intermediate(options) and options.losses.weight_of_predictions != 1)


def _layers(options: DistillOptions) -> bool:
    """Whether a stage that learns from the teacher's layers is not left out."""
    return getattr(options, METHODS[options.method].layered).epochs != 0


def _keeps_layers(options: GeneralOptions) -> bool:
    return options.losses.of_layers and options.losses.kept_of_layers(options.masked_lm.soft > 0).of_layers


OF_LAYERS = ("losses.kinds", "losses.heads", "intermediate.batch_rows", "intermediate.learning_rate")
OF_PREDICTIONS = ("losses.temperature", "prediction.batch_rows", "prediction.learning_rate")
OF_PKD = ("pkd.alpha", "pkd.beta", "pkd.layers")
OF_CACHE = ("budget", "folder", "rebuild")
OF_TEACHER = ("finetune.recipe.epochs", "finetune.recipe.batch_rows", "finetune.recipe.learning_rate")
AUGMENTED = "a method that learns from augmented rows"
STAGE = "--epochs-intermediate above 0"
OF_AUGMENTING = (  # but the seed, which is that of training, too
    "augment.preset", "augment.drop_leaks", "augment.rows.limit", "augment.rows.on_bad_row", "augment.models.glove",
    "augment.compute.precision", "augment.compute.batch_tokens", "augment.compute.part_tokens",
    *(
        f"augment.{group}.{name}"
        for group, kind in (("draw", DrawOptions), ("candidates", CandidateOptions), ("engine", EngineOptions))
        for name in options_of(kind)
        if name != "seed"
    ),
)  # fmt: skip
EFFECTS: dict[type[Options], tuple[Effect, ...]] = {
    CacheChoice: (Effect("--cache other than off", lambda it: it.mode != Keep.off, OF_CACHE),),
    LossChoice: (Effect("attention among --losses", lambda it: "attention" in it.kinds, ("heads",)),),
    DistillOptions: (
        Effect("a method with an intermediate stage", _has_intermediate, ("intermediate.epochs", *OF_LAYERS)),
        Effect(STAGE, _intermediate, OF_LAYERS),
        Effect(STAGE, _weighs, ("losses.layer_weights",)),
        Effect(STAGE, lambda it: _intermediate(it) or it.start == "teacher-layers", ("layer_map",)),
        Effect(f"{STAGE} with full", lambda it: _layers(it) or it.cache.mode != Keep.full, ("cache.mode",)),
        Effect("--epochs-prediction above 0", lambda it: it.prediction.epochs != 0, OF_PREDICTIONS),
        Effect(AUGMENTED, lambda it: METHODS[it.method].augmented, ("train",)),
        Effect("--method bert-pkd", lambda it: "pkd" in METHODS[it.method].own, OF_PKD),
        Effect("--student-init first-layers", lambda it: it.chosen_start == FIRST_LAYERS, ("encoder",)),
    ),
    GeneralOptions: (
        Effect("--mlm-weight or --mlm-soft", lambda it: it.masked_lm.on, ("masked_lm.whole_word",)),
        Effect("--mlm-soft", lambda it: it.masked_lm.soft > 0, ("losses.temperature",)),
        Effect("--student-init random", lambda it: it.start == "random", ("embeddings",)),
        Effect(
            "a loss of attention or hidden states, whose states are kept, with a weight above 0",
            lambda it: it.cache.mode != Keep.full or _keeps_layers(it),
            ("cache.mode",),
        ),
        Effect(
            "--cache full, for auto keeps nothing where each epoch masks other tokens,",
            lambda it: it.cache.mode != Keep.auto or not it.masked_lm.on,
            tuple(f"cache.{name}" for name in OF_CACHE),
        ),
    ),
    RunOptions: (
        Effect(AUGMENTED, lambda it: METHODS[it.distill.method].augmented, OF_AUGMENTING),
        Effect("no --teacher, which is not fine-tuned,", lambda it: it.teacher is None, OF_TEACHER),
        Effect(
            "no --teacher, which is not fine-tuned, or --student-init first-layers",
            lambda it: it.teacher is None or it.distill.chosen_start == FIRST_LAYERS,
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
        options: of a verb, or a group of them.

    Raises:
        UserError: naming the options, and what they need.
    """
    for effect in (effect for kind in type(options).__mro__ for effect in EFFECTS.get(kind, ())):
        idle = [name for place in effect.places if (name := _typed(options, place))]
        if idle and not effect.holds(options):
            names, it, has = " and ".join(idle), *(("it", "it has") if len(idle) == 1 else ("them", "they have"))
            raise UserError(
                f"{names}: expected {effect.needed} beside {it}, else {has} no effect; change that or leave {names} out"
            )


def _typed(options: Options, place: str) -> str:
    """The option at a place, with a value of text, if another value was typed than its default."""
    *groups, name = place.split(".")
    owner: Options = reduce(getattr, groups, options)
    value = getattr(owner, name)
    if not owner.has(name) or value == getattr(type(owner), name):
        return ""
    return f"{flag(type(owner), name)} {value}" if isinstance(value, str) else flag(type(owner), name)
