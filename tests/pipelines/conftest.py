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


@pytest.fixture(scope="session")
def pairs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RTE in GLUE's layout, some texts in both columns."""
    folder = tmp_path_factory.mktemp("glue") / "RTE"
    folder.mkdir()
    first, second = list(sentences(20, seed=3)), list(sentences(20, seed=4))
    second[5] = first[5]
    lines = [
        f"{number}\t{one}\t{two}\t{'not_' * (number % 2)}entailment"
        for number, (one, two) in enumerate(zip(first, second, strict=True))
    ]
    text = "\n".join(["index\tsentence1\tsentence2\tlabel", *lines, ""])
    for part in ("train", "dev"):
        (folder / f"{part}.tsv").write_text(text)
    return folder
