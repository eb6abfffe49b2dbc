"""A teacher of the tests as ONNX, and processes in which tinyaug cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixtures import tiny_tokenizer
from tests.pipelines.jobs import Ran, done, tinyaug

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

    from tests.pipelines.training.verbs import Parts

OURS = ("augment", "distill", "glove", "pipelines")
ALONE = f"import sys, runpy; sys.modules.update(dict.fromkeys({OURS})); sys.path.insert(0, '.'); "


@pytest.fixture(scope="session")
def exported(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The teacher, judged on the dev rows in its folder; look, don't touch."""
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    ran = done("export", parts.teacher, "--format", "onnx", "--out", folder)
    (folder.parent / "said.txt").write_text(ran.out)
    return folder


def alone(code: str, folder: Path, *arguments: object, **variables: str) -> Any:
    """What a program prints as JSON in a process that knows neither tinyaug nor the caller's variables."""
    command = [sys.executable, "-c", ALONE + code, *map(str, arguments)]
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **variables}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def saved(model: PreTrainedModel, folder: Path) -> Path:
    """A model with the tests' tokenizer."""
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def refused(out: Path, code: int, *arguments: object) -> Ran:
    """A command that fails with one line and leaves nothing."""
    above = next(folder for folder in out.parents if folder.exists())
    before = sorted(above.iterdir())
    ran = tinyaug("export", *arguments, "--out", out)
    assert ran.code == code, ran.err
    assert ran.err.splitlines()[-1].startswith(f"tinyaug: {'error' if code == 2 else 'failed'}: ")
    assert sorted(above.iterdir()) == before
    return ran
