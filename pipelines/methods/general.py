"""TinyBERT's general distillation (Jiao et al., 2020, section 3.2): the layers of an encoder, over plain text."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.general.request import WARMUP_STEPS, GeneralRequest
from pipelines.methods.method import Method, MethodStage, Rows
from pipelines.methods.tinybert import decided, loss_settings

if TYPE_CHECKING:
    from distill.general import GeneralStage
    from distill.student import Student
    from distill.teacher import Teacher


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
        fixed="the same tokens are masked in every epoch" if choice.on else "", warmup_steps=WARMUP_STEPS,
    )  # fmt: skip
    settings = {"recipe": asdict(request.recipe), "losses": asdict(losses), "masked_lm": asdict(choice)}
    return Method((stage,), settings, ("knowledge-distillation", "tinybert"))


def _uncached(request: GeneralRequest) -> str:
    """Why `auto` keeps nothing: a cache has one pass of the teacher, and what is masked must not depend on the disk."""
    if not request.losses.of_layers:
        return "of the layers nothing is learnt"
    if not request.losses.kept_of_layers(request.masked_lm.soft > 0).of_layers:
        return "the embedding loss uses nothing that a cache keeps"
    if request.masked_lm.on:
        return "each epoch masks other tokens; --cache full would mask the same ones in all"
    return ""
