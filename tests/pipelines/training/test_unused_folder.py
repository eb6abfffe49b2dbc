"""A refused command takes a directory away again that it made; what was there before stays as it was."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.errors import UserError
from pipelines.run_folder import lock
from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import done, everything, tinyaug
from tests.pipelines.run_folder.test_undone import headless
from tests.pipelines.training.verbs import ahead, distill, finetune, run


@pytest.fixture
def broken(parts, tmp_path):
    """A teacher whose predictions are no numbers: it shows when it is judged."""
    folder = shutil.copytree(parts.teacher, tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"][0] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def bad_label(parts, tmp_path):
    data = shutil.copytree(parts.data, tmp_path / "SST-2")
    (data / "train.tsv").write_text("sentence\tlabel\na good film\t1\na bad film\t7\n")
    return data


def refused(command) -> None:
    ran = tinyaug(*command)
    assert ran.code == 2, ran.err


def test_no_folder_is_left(parts, broken, tmp_path):
    out, data = tmp_path / "new/deep/out", bad_label(parts, tmp_path)
    refused(distill(parts, out, "--teacher", broken))
    refused(finetune(parts, out, "--data", data))
    refused(run(parts, out, "--data", data))
    refused(ahead(parts, out, "--data", data, train=False))
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    refused(finetune(parts, out, "--data", data))
    assert not list((tmp_path / "new").iterdir())


def test_of_augment_neither(inputs, tmp_path):
    refused(inputs.augment(tmp_path / "new/run", "--mlm", headless(tmp_path / "model")))
    assert not (tmp_path / "new").exists()


def test_a_folder_that_was_there_stays(parts, broken, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    refused(distill(parts, out, "--teacher", broken))
    assert set(everything(out)) == {".lock"}
    done(*distill(parts, out, "--max-steps", 1))
    before = everything(out)
    refused(distill(parts, out, "--max-steps", 2))
    assert everything(out) == before


def test_what_another_puts_there_stays(tmp_path):
    storage = Storage(str(tmp_path / "out"))
    with only_writer(storage):
        (tmp_path / "out/theirs").touch()
    assert (tmp_path / "out/theirs").exists()


def test_a_lock_that_was_removed_in_between_is_no_lock(tmp_path, monkeypatch):
    """Between opening a lock and taking it, its holder found its directory unused."""
    storage, real = Storage(str(tmp_path / "out")), lock._lock

    def removed_first(storage, stream, kind):
        shutil.rmtree(tmp_path / "out")
        return real(storage, stream, kind)

    monkeypatch.setattr(lock, "_lock", removed_first)
    with pytest.raises(UserError, match="expected to be its only writer"), only_writer(storage):
        pytest.fail("two could have written")
