"""A tiny SQuAD, its augmented rows and a teacher of it; look, don't touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.pipelines.jobs import Inputs, augment, done, later_wins
from tests.pipelines.squad.data import write_official

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipelines.training.verbs import Parts

TASK = ("--task", "squad_v2", "--max-length", 48, "--device", "cpu")


@dataclass(frozen=True)
class Squad:
    """Where everything lies."""

    data: Path
    encoder: Path
    augmented: Path
    teacher: Path

    def finetune(self, out: Path, *more: object) -> list[str]:
        return later_wins(
            "finetune", *TASK, "--data", self.data, "--model", self.encoder, "--out", out, "--batch-size", 4,
            "--lr", 1e-3, "--epochs", 2, *more,
        )  # fmt: skip

    def distill(self, out: Path, *more: object) -> list[str]:
        return later_wins(
            "distill", *TASK, "--data", self.data, "--train", self.augmented, "--teacher", self.teacher,
            "--student", "half", "--student-init", "teacher-layers", "--out", out,
            "--epochs-intermediate", 2, "--epochs-prediction", 2, "--batch-size-prediction", 8, *more,
        )  # fmt: skip

    def evaluate(self, model: Path, *more: object) -> list[str]:
        command = ["evaluate", *TASK, "--data", self.data, "--model", model, *more]
        place = command.index("--max-length")
        return later_wins(*command[:place], *command[place + 2 :])


@pytest.fixture(scope="session")
def squad(tmp_path_factory: pytest.TempPathFactory, parts: Parts, inputs: Inputs) -> Squad:
    folder = tmp_path_factory.mktemp("squad")
    data = write_official(folder / "data")
    found = Squad(data, parts.encoder, folder / "run" / "augmented", folder / "teacher")
    done(*augment(inputs, data, folder / "run", "--task", "squad_v2"))
    done(*found.finetune(found.teacher))
    return found
