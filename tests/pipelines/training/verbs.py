"""Arguments of the training verbs for tiny models; later ones win."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.pipelines.jobs import later_wins

if TYPE_CHECKING:
    from pathlib import Path

STAGE_OPTIONS = ("--epochs-intermediate", "--epochs-prediction")


@dataclass(frozen=True)
class Parts:
    """Where everything lies."""

    data: Path
    encoder: Path
    teacher: Path
    student: Path
    train: Path
    mlm: Path
    glove: Path


def finetune(parts: Parts, out: Path, *more: object) -> list[str]:
    return later_wins(
        "finetune", "--task", "sst2", "--data", parts.data, "--model", parts.encoder, "--out", out,
        "--max-length", 32, "--batch-size", 8, "--device", "cpu", *more,
    )  # fmt: skip


def distill(parts: Parts, out: Path, *more: object) -> list[str]:
    return later_wins(
        "distill", "--task", "sst2", "--data", parts.data, "--train", parts.train, "--teacher", parts.teacher,
        "--student", parts.student, "--student-init", "random", "--out", out, "--max-length", 32,
        "--epochs-intermediate", 2, "--epochs-prediction", 2, "--device", "cpu", *more,
    )  # fmt: skip


def ahead(parts: Parts, out: Path, *more: object, train: bool = True) -> list[str]:
    """`cache-teacher` with the options of `distill`."""
    command = ["cache-teacher", *distill(parts, out, *more)[1:]]
    for option in (*STAGE_OPTIONS, *(() if train else ("--train",))):
        place = command.index(option)
        del command[place : place + 2]
    return command


def general(parts: Parts, corpus: Path, out: Path, *more: object) -> list[str]:
    return later_wins(
        "distill-general", "--corpus", corpus, "--teacher", parts.encoder, "--student", parts.student, "--out", out,
        "--max-length", 32, "--batch-size", 16, "--lr", 1e-3, "--device", "cpu", *more,
    )  # fmt: skip


def pretrain(parts: Parts, corpus: Path, out: Path, *more: object) -> list[str]:
    return later_wins(
        "pretrain", "--corpus", corpus, "--tokenizer", parts.encoder, "--student", parts.student, "--out", out,
        "--max-length", 32, "--batch-size", 16, "--epochs", 3, "--lr", 5e-3, "--device", "cpu", *more,
    )  # fmt: skip


def evaluate(parts: Parts, model: Path, *more: object) -> list[str]:
    return later_wins(
        "evaluate", "--task", "sst2", "--data", parts.data, "--model", model, "--device", "cpu", *more
    )  # fmt: skip


def run(parts: Parts, out: Path, *more: object) -> list[str]:
    own = () if "--teacher" in more else ("--teacher-model", parts.encoder, "--epochs-finetune", 1)
    return later_wins(
        "run", "--task", "sst2", "--data", parts.data, "--mlm", parts.mlm, "--glove", parts.glove, *own,
        "--student", parts.student, "--student-init", "random", "--out", out,
        "--n", 2, "--engine", "local", "--workers", 1, "--max-length", 32,
        "--epochs-intermediate", 1, "--epochs-prediction", 1, "--device", "cpu", *more,
    )  # fmt: skip


def metrics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


def run_json(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def results(folder: Path) -> dict[str, Any]:
    """What metrics.json says but for places and times."""
    found = metrics(folder)
    del found["files"]
    for stage in found["stages"].values():
        del stage["seconds"]
    return found
