"""`tinyaug export --format hub`: a folder and a card for transformers, and its way to the hub."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from tests.hub.server import Hub, serving
from tests.pipelines.exporting.conftest import alone, refused
from tests.pipelines.jobs import done, tinyaug

CLASSIFY = """
import json
from transformers import pipeline
classify = pipeline("text-classification", model=".", top_k=None)
print(json.dumps(classify("a good film")))
"""


@pytest.fixture
def hub(monkeypatch):
    """An empty hub that knows one token."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with serving(Hub([])) as running:
        running.token = "secret"
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        yield running


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    made = tmp_path_factory.mktemp("hub") / "model"
    done("export", parts.teacher, "--format", "hub", "--out", made)
    return made


def test_what_is_written(folder, parts):
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "config.json", "export.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    wanted, found = (load_file(one / "model.safetensors") for one in (parts.teacher, folder))
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_the_card(folder, parts):
    card = (folder / "README.md").read_text()
    accuracy = json.loads((parts.teacher / "metrics.json").read_text())["dev"]["validation"]["accuracy"]
    for line in (
        "pipeline_tag: text-classification",
        "A text classifier for sst2, exported by `tinyaug export`.",
        f"| {accuracy:.4f} |",
        "- max_length: 32 tokens",
        f"--model {parts.encoder.name} --out {parts.teacher.name} --max-length 32",
        "train.tsv (sha256 ",
    ):
        assert line in card
    assert str(parts.teacher.parent) not in card


def test_the_card_has_no_folders_of_this_machine(parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = shutil.copytree(parts.teacher, tmp_path / "acme/teacher")
    told, ran = (json.loads((model / name).read_text()) for name in ("metrics.json", "run.json"))
    trimmed = {"share": 0.05, "pieces": [900, 300], "parameters": [9000000, 3000000], "dev": {"dev": {"accuracy": 0.9}}}
    (model / "metrics.json").write_text(json.dumps({**told, "trimmed": trimmed}))
    words = "tinyaug distill --data=other/a=b/rows.csv --teacher owner/name --student-init acme/teacher --out gone/s"
    (model / "run.json").write_text(json.dumps({**ran, "command": words.split()}))
    done("export", "acme/teacher", "--format", "hub", "--out", tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    said = "tinyaug distill --data=rows.csv --teacher owner/name --student-init teacher --out s"
    for line in ("# teacher\n", f"- command: `{said}`\n", "- vocabulary: 300 of 900 pieces are left"):
        assert line in card
    assert "acme" not in card


@pytest.mark.integration
def test_transformers_reads_it_without_tinyaug(folder, parts):
    assert alone(CLASSIFY, folder) == alone(CLASSIFY, parts.teacher)


def test_upload(hub, parts, tmp_path):
    ran = done("export", parts.teacher, "--format", "hub", "--out", tmp_path / "out", "--push-to", "me/films")
    assert f"uploaded: {hub.url}/me/films" in ran.out
    [repository] = hub.repositories
    assert repository.name == "me/films"
    assert hub.private == {"me/films": True}
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert repository.revisions["main"] == found


def test_an_upload_that_is_refused_keeps_the_folder(hub, parts, tmp_path):
    hub.full = True
    out = tmp_path / "out"
    ran = tinyaug("export", parts.teacher, "--format", "hub", "--out", out, "--push-to", "me/films")
    assert ran.code == 1
    assert "the upload failed" in ran.err
    assert f"hf upload me/films {out}" in ran.err
    assert (out / "model.safetensors").is_file()


def test_what_cannot_be_uploaded_is_not_written(hub, parts, tmp_path, monkeypatch):
    asked = (parts.teacher, "--format", "hub", "--push-to")
    assert "expected a name such as user/model" in refused(tmp_path / "out", 2, *asked, "no such//name").err
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    assert "expected a token of the hub, found none" in refused(tmp_path / "out", 2, *asked, "me/films").err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(tmp_path / "out", 2, *asked, "me/films").err
    assert hub.repositories == []
