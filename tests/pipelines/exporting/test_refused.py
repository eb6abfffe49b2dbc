"""What cannot be exported: one line that says why, the right exit code, and nothing written."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from distill.bilstm import BiLstmConfig, BiLstmForSequenceClassification
from pipelines.exporting import export_job
from tests.foreign import foreign_classifier, foreign_tokenizer
from tests.pipelines.exporting.conftest import refused, saved
from tests.pipelines.jobs import done, tinyaug

ONNX = ("--format", "onnx")


@pytest.fixture
def copied(parts, tmp_path):
    """A teacher that may be damaged."""
    return shutil.copytree(parts.teacher, tmp_path / "model")


def test_a_folder_that_is_there(parts, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert "expected a folder that is not there yet" in refused(out, 2, parts.teacher, *ONNX).err
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert "expected a local folder" in tinyaug("export", parts.teacher, *ONNX, "--out", "s3://bucket/out").err


def test_what_is_no_model(parts, tmp_path, mlm_folder):
    assert "config.json" in refused(tmp_path / "out", 2, parts.data, *ONNX).err
    assert "found no task head" in refused(tmp_path / "out", 2, mlm_folder, *ONNX).err
    missing = tmp_path / "nowhere"
    assert "found no folder" in refused(tmp_path / "out", 2, missing, *ONNX).err


def test_damaged_weights(copied, tmp_path):
    weights = copied / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    assert "it was not copied whole" in refused(tmp_path / "out", 2, copied, *ONNX).err


def test_logits_that_differ(copied, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.exporting.comparing.BOUND", 1e-12)
    said = refused(tmp_path / "made" / "out", 1, copied, *ONNX).err
    assert "expected the model's logits, with differences of at most 1e-12" in said


def test_weights_that_are_no_numbers(copied, tmp_path):
    tensors = load_file(copied / "model.safetensors")
    tensors["classifier.weight"][0, 0] = torch.nan
    save_file(tensors, copied / "model.safetensors", {"format": "pt"})
    assert "found NaN or infinity in classifier.weight" in refused(tmp_path / "out", 2, copied, *ONNX).err


def test_what_the_exporter_does_not_convert(tmp_path):
    torch.manual_seed(0)
    config = BiLstmConfig(vocab_size=200, embedding_size=8, hidden_size=4, relu_units=6)
    model = saved(BiLstmForSequenceClassification(config), tmp_path / "words")
    said = refused(tmp_path / "out", 2, model, *ONNX).err
    assert "expected a model that torch's ONNX exporter converts, found a BiLstmForSequenceClassification" in said
    done("export", model, "--format", "hub", "--out", tmp_path / "hub")
    assert "import distill.bilstm" in (tmp_path / "hub" / "README.md").read_text()
    foreign = tmp_path / "xlnet"
    foreign_classifier("xlnet").save_pretrained(foreign)
    foreign_tokenizer("xlnet").save_pretrained(foreign)
    said = refused(tmp_path / "out", 2, foreign, *ONNX).err
    assert "found a XLNetForSequenceClassification, which it does not (Cannot find a compatible OpOverload" in said


def test_packages_that_are_missing(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(export_job, "find_spec", lambda name: None if name == "onnxscript" else object())
    said = refused(tmp_path / "out", 2, parts.teacher, *ONNX).err
    assert "found no onnxscript; install them with pip install 'tinyaug[export]'" in said
    done("export", parts.teacher, "--format", "hub", "--out", tmp_path / "hub")


def test_options_without_effect(parts, tmp_path):
    out = tmp_path / "out"
    said = refused(out, 2, parts.teacher, "--format", "hub", "--no-int8").err
    assert "error: --no-int8: expected --format onnx beside it" in said
    assert "expected --task beside it" in refused(out, 2, parts.teacher, *ONNX, "--data", parts.data).err


def test_data_that_do_not_fit(parts, tmp_path, pairs_folder):
    out = tmp_path / "out"
    said = refused(out, 2, parts.teacher, *ONNX, "--task", "rte", "--data", pairs_folder).err
    assert "not_entailment" in said
    train = tmp_path / "SST-2"
    train.mkdir()
    shutil.copy(parts.data / "train.tsv", train)
    assert "expected labelled dev rows" in refused(out, 2, parts.teacher, *ONNX, "--task", "sst2", "--data", train).err
