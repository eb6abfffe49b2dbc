"""A task of sixty sentences, a teacher fine-tuned on it, shards to learn from and the shape of a student."""

from __future__ import annotations

import json

import pytest

from tests.fixtures import save_tiny_masked_lm
from tests.pipelines.conftest import inputs, session_cache
from tests.pipelines.jobs import Inputs, done, sentences, write_sst2
from tests.pipelines.training.general import corpus, masked
from tests.pipelines.training.verbs import Parts, finetune

__all__ = ["corpus", "inputs", "masked", "session_cache"]


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs) -> Parts:
    """Everything a distillation needs; look, don't touch."""
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
