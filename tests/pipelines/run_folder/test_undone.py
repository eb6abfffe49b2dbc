"""Mistakes that only the loaded model shows: the directory that the command began is undone again."""

from __future__ import annotations

import torch
from transformers import BertModel

from pipelines.errors import UserError
from tests.fixtures import save_tiny_masked_lm, tiny_config
from tests.pipelines.jobs import contents, done, everything, tinyaug


def headless(folder):
    """A folder whose pickled weights lack the masked-LM head: their names show only when they are loaded."""
    save_tiny_masked_lm(folder)
    (folder / "model.safetensors").unlink()
    torch.save(BertModel(tiny_config()).state_dict(), folder / "pytorch_model.bin")
    return folder


def test_another_model_in_the_same_directory(inputs, finished, tmp_path):
    run, model = tmp_path / "run", headless(tmp_path / "model")
    for more in ((), ("--preset", "algorithm1"), ("--workers", 2)):
        ran = tinyaug(*inputs.augment(run, "--shard-rows", 10, "--mlm", model, *more))
        assert (ran.code, "expected a model with a masked-LM head" in ran.err) == (2, True), ran.err
        assert str(model) in ran.err
        assert set(everything(run)) <= {".lock"}
    assert "found no run.json" in tinyaug("status", run).err
    done(*inputs.augment(run, "--shard-rows", 10))
    assert contents(run) == contents(finished)


def test_what_this_command_finished_is_kept(inputs, finished, tmp_path, monkeypatch):
    def refuse(_identity: object, computes: bool) -> None:
        if not computes:
            raise UserError("worker on other: expected the software this job was started with")

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.augmenting.stages.require_same_software", refuse)
        assert tinyaug(*inputs.augment(run, "--shard-rows", 10)).code == 2
    before = everything(run / "candidates")
    assert before == everything(finished / "candidates")
    done(*inputs.augment(run, "--shard-rows", 10))
    assert contents(run) == contents(finished)
