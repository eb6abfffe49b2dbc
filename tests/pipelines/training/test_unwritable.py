"""Folders that cannot be written to, and GPUs that are not there: refused before anything is loaded or written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distill.errors import DistillError
from distill.folder_lock import folder_lock
from pipelines.errors import UserError
from pipelines.run_folder.stage_folder import refuse_unwritable
from tests.pipelines.jobs import refused
from tests.pipelines.training.verbs import ahead, distill, evaluate, finetune, general, run

DRY = ((), ("--dry-run",))


@pytest.fixture
def refusing(tmp_path, monkeypatch):
    """A folder that nobody may write to, for tests run as root; a model that is loaded fails the test."""
    folder, real = tmp_path / "ro", os.access
    folder.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and real(path, mode))
    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", lambda *_, **__: pytest.fail("it was loaded"))
    return folder


@pytest.mark.parametrize("more", DRY, ids=["plain", "dry-run"])
def test_every_verb_s_out(parts, corpus, inputs, tmp_path, refusing, more):
    for out in (refusing, refusing / "deep/out"):
        for command in (
            finetune(parts, out, *more),
            distill(parts, out, *more),
            ahead(parts, out, *more),
            general(parts, corpus, out, *more),
            run(parts, out, *more),
        ):
            said = refused(command)
            assert f"--out {out}: expected a directory that can be written to, found that {refusing} cannot be" in said
    assert "expected a directory that can be written to" in refused(inputs.augment(refusing / "out", "--dry-run"))
    assert not list(refusing.iterdir())


@pytest.mark.parametrize("more", DRY, ids=["plain", "dry-run"])
def test_the_folder_of_the_caches(parts, corpus, tmp_path, refusing, more):
    out = tmp_path / "out"
    for make in (distill(parts, out), general(parts, corpus, out), run(parts, out)):
        said = refused([*make, "--cache-dir", refusing / "cache", *more])
        assert f"--cache-dir {refusing}/cache: expected a directory that can be written to" in said
    assert not out.exists()
    assert not list(refusing.iterdir())


def test_files_in_the_way(tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(UserError, match="found a file; choose another one"):
        refuse_unwritable(tmp_path / "file", "--out")
    with pytest.raises(UserError, match=f"found the file {tmp_path}/file above it"):
        refuse_unwritable(tmp_path / "file/run/deep", "--out")
    refuse_unwritable(tmp_path / "new/run", "--out")


def test_a_lock_in_a_folder_that_turns_out_to_be_none(tmp_path):
    (tmp_path / "file").write_text("a file")
    for folder in (tmp_path / "file", tmp_path / "file/cache"):
        with pytest.raises(DistillError, match="expected a folder that can be written to at"), folder_lock(folder):
            pytest.fail("it was locked")


def test_every_verb_s_gpu(parts, corpus, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.machine.devices.gpu_count", lambda: 0)
    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", lambda *_, **__: pytest.fail("it was loaded"))
    out = tmp_path / "new/out"
    for command in (
        finetune(parts, out),
        distill(parts, out),
        ahead(parts, out),
        evaluate(parts, parts.teacher),
        general(parts, corpus, out),
        run(parts, out),
        inputs.augment(out),
    ):
        said = refused([*command, "--device", "cuda"])
        assert "--device cuda: expected a CUDA device of that name, found none; use --device cpu or auto" in said
    assert not (tmp_path / "new").exists()
