"""Turns the options of `run` into the requests of its stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.cli.requests import augment_request
from pipelines.cli.training_requests import distill_request, finetune_request
from pipelines.training.recipe import QUICK_SOURCES
from pipelines.training.request import EvaluateRequest
from pipelines.training.run_job import RunRequest


def run_request(options: dict[str, Any]) -> RunRequest:
    """The requests behind the options of `run`.

    Args:
        options: by name, as typed.

    Returns:
        The requests; teacher, student and caches lie in the run directory.

    Raises:
        UserError, AugmentError: a value that cannot be used.
    """
    demo = options["demo"]
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
            "cache_dir": options["cache_dir"] or Path(root) / "teacher_cache",
            "out": f"{root}/student",
        }
    )
    return RunRequest(augment, finetune, distill, _evaluate(options, distill.out, distill), stated, demo)


def _evaluate(options: dict[str, Any], student: str, distill: Any) -> EvaluateRequest | None:
    if options["submission"] is None and options["predictions"] is None:
        return None
    return EvaluateRequest(
        data=distill.data,
        model=student,
        submission=options["submission"],
        predictions=options["predictions"],
        max_length=distill.reading.max_length,
        machine=replace(distill.machine, accumulation=1),
    )
