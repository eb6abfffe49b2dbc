"""Turns the options of `tinyaug distill-general` into a request."""

from __future__ import annotations

from typing import Any

from pipelines.cli.training_requests import cache_choice, loss_choice, machine_choice
from pipelines.general.request import (
    GENERAL_RECIPE,
    CorpusChoice,
    GeneralRequest,
    MaskedLmChoice,
)
from pipelines.training.request import Reading


def general_request(options: dict[str, Any]) -> GeneralRequest:
    """The request behind the options.

    Args:
        options: by name, as typed.

    Raises:
        UserError: a value that cannot be used.
    """
    given = (options["epochs"], options["batch_size"], options["lr"], options["max_steps"])
    recipe = GENERAL_RECIPE.changed(*given, least_epochs=1)
    return GeneralRequest(
        out=options["out"],
        corpus=CorpusChoice(
            options["corpus"],
            options["text"],
            options["corpus_config"],
            options["corpus_revision"],
            options["limit"],
            options["rows"],
            options["pairs"],
        ),
        teacher=options["teacher"],
        student=options["student"] or "",
        start=options["student_init"],
        layer_map=options["layer_map"],
        embeddings=options["embedding_init"],
        recipe=recipe,
        teacher_revision=options["teacher_revision"],
        losses=loss_choice(options),
        masked_lm=MaskedLmChoice(options["mlm_weight"], options["mlm_soft"], options["whole_word"]),
        cache=cache_choice(options),
        reading=Reading(options["max_length"], None, options["seed"]),
        machine=machine_choice(options),
        overwrite=options["overwrite"],
    )
