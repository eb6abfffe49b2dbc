"""Turns the options of the training verbs into requests."""

from __future__ import annotations

import re
from typing import Any

from pipelines.cli.requests import custom_options
from pipelines.distilling.choices import GENERAL, RANDOM, TEACHER_LAYERS
from pipelines.distilling.teaching import CacheChoice, LossChoice
from pipelines.errors import UserError
from pipelines.evaluating.output_files import check_place
from pipelines.machine.devices import local_device
from pipelines.machine.precision import training_precision
from pipelines.tasks.glue import plain_name
from pipelines.training.recipe import PROFILES, QUICK_ROWS, StageRecipe, stage_recipe
from pipelines.training.request import (
    DataChoice,
    DistillRequest,
    EvaluateRequest,
    FinetuneRequest,
    Machine,
    Reading,
)

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def finetune_request(options: dict[str, Any], suffix: str = "") -> FinetuneRequest:
    """The request behind the options of `finetune`.

    Args:
        options: by name, as typed.
        suffix: of the recipe's options; `_finetune` where other stages have some of their own.

    Raises:
        UserError: a value that cannot be used.
    """
    if not options["model"]:
        raise UserError("--model: expected an encoder to fine-tune, found none; such as bert-base-uncased")
    return FinetuneRequest(
        out=options["out"],
        data=_data(options),
        model=options["model"],
        recipe=_recipe("finetune", options, suffix),
        revision=options["revision"],
        reading=_reading(options),
        machine=machine_choice(options),
        overwrite=options["overwrite"],
        named_rows=options["train_rows"],
    )


def distill_request(options: dict[str, Any], typed: dict[str, Any] | None = None) -> DistillRequest:
    """The request behind the options of `distill`.

    Args:
        options: by name.
        typed: as they were typed, where others were filled in since.

    Raises:
        UserError: a value that cannot be used.
    """
    for stage in ("intermediate", "prediction"):
        _refuse_idle(options if typed is None else typed, stage)
    return DistillRequest(
        out=options["out"],
        data=_data(options),
        train=options["train"],
        teacher=options["teacher"],
        student=options["student"] or "",
        start=options["student_init"],
        layer_map=options["layer_map"],
        intermediate=_recipe("intermediate", options, "_intermediate"),
        prediction=_recipe("prediction", options, "_prediction"),
        teacher_revision=options["teacher_revision"],
        losses=loss_choice(options),
        cache=cache_choice(options),
        reading=_reading(options),
        machine=machine_choice(options),
        overwrite=options["overwrite"],
        named_rows=options["train_rows"],
    )


def cache_request(options: dict[str, Any]) -> DistillRequest:
    """The request behind the options of `cache-teacher`: of its student the layers count, weights are not asked for.

    Raises:
        UserError: a value that cannot be used.
    """
    start = options["student_init"]
    shape = options["student"] or (None if start in (GENERAL, TEACHER_LAYERS, RANDOM) else start)
    return distill_request({**options, "student": shape, "student_init": RANDOM})


def evaluate_request(options: dict[str, Any]) -> EvaluateRequest:
    """The request behind the options of `evaluate`.

    Raises:
        UserError: a value that cannot be used.
    """
    if options["batch_size"] < 1:
        raise UserError(f"--batch-size: expected at least 1, found {options['batch_size']}")
    if options["max_length"] is not None:
        Reading(options["max_length"])
    if options["json_file"] is not None:
        check_place("--json", options["json_file"])
    return EvaluateRequest(
        data=_data(options),
        model=options["model"],
        revision=options["revision"],
        submission=options["submission"],
        predictions=options["predictions"],
        max_length=options["max_length"],
        batch_rows=options["batch_size"],
        machine=machine_choice({"accumulation": None, "checkpoint_every": 500, **options}),
    )


def loss_choice(options: dict[str, Any]) -> LossChoice:
    """The losses behind `--losses` and its like.

    Raises:
        UserError: a value that cannot be used.
    """
    return LossChoice(
        tuple(part.strip() for part in options["losses"].split(",") if part.strip()),
        options["temperature"],
        _numbers(options["layer_weights"]),
        options["heads"],
    )


def cache_choice(options: dict[str, Any]) -> CacheChoice:
    """The teacher cache behind `--cache` and its like.

    Raises:
        UserError: a value that cannot be used.
    """
    return CacheChoice(
        options["cache"], parse_bytes(options["cache_budget"]), options["cache_dir"], options["rebuild_cache"]
    )


def machine_choice(options: dict[str, Any]) -> Machine:
    """The machine behind `--device` and its like; this process uses the GPU that was named from here on.

    Raises:
        UserError: a device that is not there, or a value that it cannot have.
    """
    device = local_device(options["device"])
    precision = training_precision(options["precision"], device)
    return Machine(device, precision, options["accumulation"], options["checkpoint_every"])


def parse_bytes(text: str | None) -> int | None:
    """Bytes behind a text such as 20GB, 500 MB or 1000.

    Raises:
        UserError: it is none.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?\s*", text.upper())
    if found is None:
        raise UserError(f"--cache-budget: expected bytes such as 20GB or 500MB, found {text!r}")
    return int(float(found[1]) * UNITS[found[2]])


def _recipe(stage: str, options: dict[str, Any], suffix: str) -> StageRecipe:
    if options["profile"] not in PROFILES:
        raise UserError(f"--profile: expected one of {', '.join(PROFILES)}, found {options['profile']!r}")
    recipe = stage_recipe(stage, plain_name(options["task"]), options["profile"])
    given = (options[f"epochs{suffix}"], options[f"batch_size{suffix}"], options[f"lr{suffix}"], options["max_steps"])
    return recipe.changed(*given, suffix=suffix.replace("_", "-"), least_epochs=1 if stage == "finetune" else 0)


def _refuse_idle(typed: dict[str, Any], stage: str) -> None:
    """Refuses how a stage shall train beside leaving it out."""
    values = {f"--batch-size-{stage}": typed[f"batch_size_{stage}"], f"--lr-{stage}": typed[f"lr_{stage}"]}
    given = [option for option, value in values.items() if value is not None]
    if typed[f"epochs_{stage}"] == 0 and given:
        raise UserError(
            f"--epochs-{stage} 0: expected no {' and no '.join(given)} beside it, for that stage alone heeds it; leave "
            "one of them out"
        )


def _reading(options: dict[str, Any]) -> Reading:
    rows = options["train_rows"]
    if rows is None and options["profile"] == "quick":
        rows = QUICK_ROWS
    return Reading(options["max_length"], rows, options["seed"])


def _data(options: dict[str, Any]) -> DataChoice:
    skip = options.get("on_bad_row") == "skip"
    return DataChoice(options["task"], options["data"], custom_options(options), options["data_revision"], skip)


def _numbers(text: str | None) -> tuple[float, ...] | None:
    """Numbers separated by commas; None for None.

    Raises:
        UserError: it is none.
    """
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--layer-weights: expected numbers separated by commas, found {text!r}") from None
