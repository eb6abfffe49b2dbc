"""Inputs and finished runs that many tests share; all made on the spot, offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.pipelines.jobs import Inputs, done, sentences, write_sst2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = 60


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tests' own cache, for fixtures that are made before any test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYAUG_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, mlm_folder: Path, glove_file: Path, session_cache: None) -> Inputs:
    """Sixty sentences with dev and test parts."""
    data = write_sst2(tmp_path_factory.mktemp("glue") / "SST-2", list(sentences(ROWS)), list(sentences(9, seed=1)))
    return Inputs(data, mlm_folder, glove_file)


@pytest.fixture(scope="session")
def finished(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of six shards; look, don't touch."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    done(*inputs.augment(run, "--shard-rows", 10))
    return run
