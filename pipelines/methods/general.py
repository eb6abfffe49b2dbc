"""TinyBERT's general distillation (Jiao et al., 2020, section 3.2): the layers of an encoder, over plain text."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.methods.method import GeneralMethod, Method, MethodStage, Rows
from pipelines.methods.tinybert import decided, loss_settings
from pipelines.training.recipe import StageRecipe

if TYPE_CHECKING:
    from distill.general import GeneralStage
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.general.request import GeneralRequest
    from pipelines.options.training import MaskedLmChoice

WARMUP_STEPS = 10_000  # or a tenth of the run, whichever is less


def general(request: GeneralRequest) -> Method:
    """Eqs. 7 to 9 without predictions, and a masked-LM loss where it was asked for."""
    losses, choice = decided(request.losses), request.masked_lm

    def layers(student: Student, teacher: Teacher) -> GeneralStage:
        from distill.general import GeneralStage, MaskedLmLoss

        masked_lm = MaskedLmLoss(choice.weight, choice.soft, loss_settings(losses).temperature)
        return GeneralStage(student, teacher, loss_settings(losses), masked_lm)

    stage = MethodStage(
        "general", layers, request.recipe, Rows.CORPUS, kept=losses.kept_of_layers(choice.soft > 0),
        uncached=_uncached(request),
        fixed=fixed_masks(choice), warmup_steps=WARMUP_STEPS,
    )  # fmt: skip
    settings = {"recipe": asdict(request.recipe), "losses": asdict(losses), "masked_lm": asdict(choice)}
    kinds = losses.kinds if losses.of_layers else ()
    if choice.on:
        kinds += (f"masked LM (weight {choice.weight}, teacher's predictions {choice.soft})",)
    return Method((stage,), settings, ("knowledge-distillation", "tinybert"), {"losses": ", ".join(kinds)})


GENERAL = GeneralMethod(general, StageRecipe(3, 256, 1e-4), own=("losses",))


def _uncached(request: GeneralRequest) -> str:
    """Why `auto` keeps nothing: a cache has one pass of the teacher, and what is masked must not depend on the disk."""
    if not request.losses.of_layers:
        return "of the layers nothing is learnt"
    if not request.losses.kept_of_layers(request.masked_lm.soft > 0).of_layers:
        return "the embedding loss uses nothing that a cache keeps"
    return uncached_masks(request.masked_lm)


def uncached_masks(choice: MaskedLmChoice) -> str:
    """Why `auto` keeps nothing where tokens are masked; empty where none are."""
    return "each epoch masks other tokens; --cache full would mask the same ones in all" if choice.on else ""


def fixed_masks(choice: MaskedLmChoice) -> str:
    """What a cache keeps from changing where tokens are masked."""
    return "the same tokens are masked in every epoch" if choice.on else ""
