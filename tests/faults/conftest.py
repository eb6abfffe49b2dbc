"""A job of many parts that is prepared once and then finished, killed and damaged in copies."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pipelines.errors import JobError
from tests.pipelines.conftest import finished, inputs, session_cache
from tests.pipelines.jobs import Inputs, done, sentences, tinyaug, write_sst2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["finished", "inputs", "session_cache"]

ROWS, PART_TOKENS = 1200, 7_000
PARTS = 20  # at least so many of each stage


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory, mlm_folder: Path, glove_file: Path, session_cache: None) -> Inputs:
    """Enough sentences that a job can be stopped on its way."""
    data = write_sst2(tmp_path_factory.mktemp("many") / "SST-2", list(sentences(ROWS, seed=2)), ["a film"])
    return Inputs(data, mlm_folder, glove_file)


@pytest.fixture(scope="session")
def prepared(many: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its input read and cut into small parts, but with no part done."""

    def stop(*_: object) -> None:
        raise JobError("only prepared")

    run = tmp_path_factory.mktemp("prepared") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.augmenting.stage_run.run_parts", stop)
        assert "only prepared" in tinyaug(*job(many, run)).err
    return run


@pytest.fixture(scope="session")
def reference(many: Inputs, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared job, run to its end in one go by one worker."""
    run = tmp_path_factory.mktemp("reference") / "run"
    shutil.copytree(prepared, run)
    done(*job(many, run))
    return run


@pytest.fixture
def run(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the prepared run."""
    return shutil.copytree(prepared, tmp_path / "run")


@pytest.fixture
def command(many: Inputs, run: Path) -> Callable[..., list[str]]:
    """Arguments that finish the copy."""
    return lambda *more: job(many, run, *more)


def job(inputs: Inputs, run: Path, *more: object) -> list[str]:
    """Arguments of the prepared job."""
    return inputs.augment(run, "--shard-rows", 50, "--part-tokens", PART_TOKENS, *more)
