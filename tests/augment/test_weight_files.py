"""Weights that cannot serve: found by the headers of their files, or else when they are loaded."""

from __future__ import annotations

import json
import shutil
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForMaskedLM,
    BertModel,
    DistilBertForMaskedLM,
    MPNetForMaskedLM,
    XLMRobertaForMaskedLM,
)
from transformers.utils.logging import set_verbosity_warning

from augment.errors import AugmentError
from augment.files.find import find_model
from augment.masked_lm import load_masked_lm
from pipelines.found import Found
from tests.fixtures import tiny_config, tiny_masked_lm


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def folder(mlm_folder, tmp_path):
    return shutil.copytree(mlm_folder, tmp_path / "model")


def test_an_encoder_without_a_head(folder):
    BertModel(tiny_config()).save_pretrained(folder)
    with pytest.raises(AugmentError, match=r"masked-LM head, found no weights for cls\.predictions"):
        find_model(str(folder))


def test_a_pickled_encoder_without_a_head(folder):
    (folder / "model.safetensors").unlink()
    torch.save(BertModel(tiny_config()).state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(AugmentError, match=r"masked-LM head, found no weights for cls\.predictions"):
        load_masked_lm(find_model(str(folder)))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "0.auto_model.", "bert.", "mybert."])
@pytest.mark.parametrize("saved", ["zip", "legacy", "safetensors"])
def test_names_of_a_wrapped_model(folder, prefix, saved):
    """The wrapper may have tensors of its own beside the model's."""
    state = {"loss.scale": torch.ones(1)}
    state |= {f"{prefix}{name}": tensor.clone() for name, tensor in tiny_masked_lm().state_dict().items()}
    (folder / "model.safetensors").unlink()
    if saved == "safetensors":
        save_file(state, folder / "model.safetensors")
    else:
        torch.save(OrderedDict(state), folder / "pytorch_model.bin", _use_new_zipfile_serialization=saved == "zip")
    names = rf"names such as (bert|cls)\S+ in \S+, found {prefix}(bert|cls)\S+,"
    expected = rf"{names} as a wrapper has them .* of what the wrapper has under '{prefix[:-1]}'"
    with pytest.raises(AugmentError, match=f"masked LM .*{expected}"):
        find_model(str(folder))
    with pytest.raises(AugmentError, match=f"teacher .*{expected}"):
        Found().model(str(folder), None, "teacher")


def test_a_model_with_something_of_a_wrapper_beside_it(folder):
    state = tiny_masked_lm().state_dict()
    state |= {f"module.{name}": tensor for name, tensor in state.items()}
    save_file({name: tensor.clone() for name, tensor in state.items()}, folder / "model.safetensors")
    find_model(str(folder))


@pytest.mark.parametrize("kind", [BertModel, DistilBertForMaskedLM, MPNetForMaskedLM, XLMRobertaForMaskedLM])
def test_own_names_are_no_wrapper_s(tmp_path, kind):
    sizes = {"dim": 8, "hidden_dim": 8, "n_heads": 2, "n_layers": 1} if "Distil" in kind.__name__ else {}
    config = kind.config_class(hidden_size=8, num_attention_heads=2, num_hidden_layers=1, intermediate_size=8, **sizes)
    kind(config).save_pretrained(tmp_path)
    Found().model(str(tmp_path), None, "teacher")
    wrapped = {f"net.{name}": tensor for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    save_file(wrapped, tmp_path / "model.safetensors")
    with pytest.raises(AugmentError, match="of what the wrapper has under 'net'"):
        Found().model(str(tmp_path), None, "teacher")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_training_checkpoint(folder, legacy):
    state = tiny_masked_lm().state_dict()
    (folder / "model.safetensors").unlink()
    progress = {"epoch": 3, "optimizer": {"state": {}, "param_groups": []}, "config": {"layers": 2}, "loss": 0.5}
    for kept, said in (
        ({"epoch": 3, "optimizer": progress["optimizer"], "state_dict": state}, r"checkpoint\['state_dict'\]"),
        ({**state, **progress}, r"model\.state_dict\(\)"),
        (progress, r"model\.state_dict\(\)"),
    ):
        torch.save(kept, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
        for find in (find_model, lambda name: Found().model(name, None, "encoder")):
            with pytest.raises(
                AugmentError, match=rf"checkpoint with epoch, optimizer, \w+.* torch\.save\({said},"
            ) as error:
                find(str(folder))
            assert len(str(error.value)) < 400


def test_a_pickle_runs_no_code_when_its_names_are_read(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    torch.save({"a": Runs(tmp_path / "run")}, folder / "pytorch_model.bin")
    with pytest.raises(AugmentError, match="cannot be loaded"):
        load_masked_lm(find_model(str(folder)))
    assert not (tmp_path / "run").exists()


def test_no_report_of_the_library_beside_the_message(folder, capfd):
    (folder / "model.safetensors").unlink()
    torch.save(BertModel(tiny_config()).state_dict(), folder / "pytorch_model.bin")
    set_verbosity_warning()
    with pytest.raises(AugmentError, match="found no weights"):
        load_masked_lm(find_model(str(folder)))
    assert "REPORT" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("content", [b"", b"not a tensor in sight", b"\x02" + bytes(7) + b"[]", b"\xff" * 40])
def test_what_is_no_safetensors_file(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(AugmentError, match=r"model\.safetensors cannot be loaded: .*found no header"):
        find_model(str(folder))


def test_weights_that_are_cut_short(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-1])
    with pytest.raises(AugmentError, match=f"expected {len(content):,} bytes .*found {len(content) - 1:,}"):
        find_model(str(folder))
    (folder / "model.safetensors").write_bytes(content[:100])
    with pytest.raises(AugmentError, match="found no header of one in its 100 bytes"):
        find_model(str(folder))


def test_weights_in_several_files(folder):
    (folder / "model.safetensors").unlink()
    tiny_masked_lm().save_pretrained(folder, max_shard_size="20KB")
    assert load_masked_lm(find_model(str(folder))).window == 64
    part = next(iter(json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"].values()))
    (folder / part).write_bytes((folder / part).read_bytes()[:-1])
    with pytest.raises(AugmentError, match=f"{part} cannot be loaded"):
        find_model(str(folder))
    (folder / part).unlink()
    with pytest.raises(AugmentError, match=f"found no {part}"):
        find_model(str(folder))
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(AugmentError, match=r"index\.json cannot be read"):
        find_model(str(folder))


@pytest.mark.parametrize(
    "trouble", [RuntimeError("can't start new thread"), MemoryError(), OSError(24, "Too many open files")]
)
def test_the_machine_s_errors_are_not_the_file_s(folder, monkeypatch, trouble):
    def fail(*_: object, **__: object) -> None:
        raise trouble

    monkeypatch.setattr(AutoModelForMaskedLM, "from_pretrained", fail)
    with pytest.raises(type(trouble)) as error:
        load_masked_lm(find_model(str(folder)))
    assert error.value is trouble
