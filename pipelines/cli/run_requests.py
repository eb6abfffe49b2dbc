"""Turns the options of `run` into the requests of its stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.cli.requests import augment_request
from pipelines.cli.training_requests import distill_request, finetune_request
from pipelines.errors import UserError
from pipelines.machine.devices import named_device
from pipelines.machine.precision import check_precision
from pipelines.run.run_job import RunRequest
from pipelines.training.recipe import QUICK_SOURCES
from pipelines.training.request import EvaluateRequest

OF_FINE_TUNING = ("teacher_model", "epochs_finetune", "batch_size_finetune", "lr_finetune")


def run_request(options: dict[str, Any]) -> RunRequest:
    """The requests behind the options of `run`.

    Args:
        options: by name, as typed.

    Returns:
        The requests; teacher, student and caches lie in the run directory.

    Raises:
        UserError, AugmentError: a value that cannot be used.
    """
    demo, typed = options["demo"], options
    _refuse_idle(options)
    _check_precisions(options)
    if demo:
        from pipelines.demo.recipe import demo_run_options

        options = demo_run_options(options)
    stated = options["profile"] or ("demo" if demo else "paper")
    options = {
        **options,
        "student_init": options["student_init"] or "general",
        "profile": options["profile"] or "paper",
    }
    quick = options["profile"] == "quick"
    limit = QUICK_SOURCES if quick and options["limit"] is None else options["limit"]
    augment = augment_request({**options, "demo": False, "limit": limit, "precision": options["augment_precision"]})
    root = augment.out.rstrip("/")
    common = {**options, "precision": options["train_precision"], "train": f"{root}/augmented"}
    finetune = None
    if options["teacher"] is None:
        model = options["teacher_model"] or augment.mlm
        revision = options["teacher_revision"] if options["teacher_model"] else options["revision"]
        finetune = finetune_request(
            {**common, "model": model, "revision": revision, "out": f"{root}/teacher"}, suffix="_finetune"
        )
    distill = distill_request(
        {
            **common,
            "teacher": options["teacher"] or f"{root}/teacher",
            "teacher_revision": options["teacher_revision"] if options["teacher"] else None,
            "cache_dir": options["cache_dir"] or (None if options["cache"] == "off" else Path(root) / "teacher_cache"),
            "out": f"{root}/student",
        },
        typed,
    )
    if options["cache_dir"] is None:
        distill = replace(distill, cache=replace(distill.cache, own=True))
    return RunRequest(augment, finetune, distill, _evaluate(options, distill.out, distill), stated, demo)


def _refuse_idle(options: dict[str, Any]) -> None:
    """Refuses options, as typed, that could have no effect beside the others."""
    if options["teacher"] is not None:
        if typed := [f"--{name.replace('_', '-')}" for name in OF_FINE_TUNING if options[name] is not None]:
            raise UserError(
                f"--teacher {options['teacher']}: expected no {' and no '.join(typed)} beside it, for no teacher is "
                "fine-tuned; leave one of them out"
            )
    elif options["teacher_revision"] is not None and options["teacher_model"] is None:
        raise UserError(
            f"--teacher-revision {options['teacher_revision']}: expected --teacher or --teacher-model with a name on "
            "the hub beside it, found neither; --revision is that of --mlm"
        )


def _check_precisions(options: dict[str, Any]) -> None:
    device = named_device(options["device"])
    check_precision(options["augment_precision"], device, "--augment-precision")
    check_precision(options["train_precision"], device, "--train-precision", training=True)


def _evaluate(options: dict[str, Any], student: str, distill: Any) -> EvaluateRequest | None:
    if options["submission"] is None and options["predictions"] is None:
        return None
    return EvaluateRequest(
        data=distill.data,
        model=student,
        submission=options["submission"],
        predictions=options["predictions"],
        max_length=distill.reading.max_length,
        machine=replace(distill.machine, accumulation=None),
    )
