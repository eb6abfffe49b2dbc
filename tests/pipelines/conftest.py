"""Inputs, models and finished runs that many tests share; all made on the spot, offline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fixtures import save_tiny_masked_lm
from tests.pipelines.jobs import Inputs, done, sentences, write_sst2
from tests.pipelines.training.general import corpus, masked
from tests.pipelines.training.verbs import Parts, finetune

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["corpus", "masked"]

ROWS = 60


@pytest.fixture(autouse=True)
def _short_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan's seconds are those of a few steps: what tests look at is what it says beside them."""
    monkeypatch.setattr("distill.timing.SECONDS", 0.0)
    monkeypatch.setattr("pipelines.augmenting.estimate.MEASURED_SECONDS", 0.0)


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


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs) -> Parts:
    """What a distillation needs: a task, a teacher fine-tuned on it, shards, a student's shape; look, don't touch."""
    folder = tmp_path_factory.mktemp("training")
    data = write_sst2(folder / "SST-2", list(sentences(60)), list(sentences(30, seed=1)), list(sentences(11, seed=2)))
    encoder = save_tiny_masked_lm(folder / "encoder", num_hidden_layers=4)
    student = folder / "student.json"
    shape = json.loads((encoder / "config.json").read_text())
    shape.update(num_hidden_layers=2, hidden_size=16, intermediate_size=32, architectures=None)
    student.write_text(json.dumps(shape))
    augmented = folder / "run"
    done(*inputs.augment(augmented, "--data", data, "--shard-rows", 25))
    made = Parts(data, encoder, folder / "teacher", student, augmented / "augmented", inputs.mlm, inputs.glove)
    done(*finetune(made, made.teacher, "--epochs", 2, "--lr", 1e-3))
    return made
