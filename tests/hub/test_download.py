"""`download_model` against a hub of our own: what is refused, and that a damaged file is not kept."""

from __future__ import annotations

import pytest
from huggingface_hub import constants

from augment.errors import AugmentError
from augment.files.hub import download_model
from tests.hub.repositories import masked_lm
from tests.hub.server import Hub, serving

MODEL = "bert-base-uncased"


@pytest.fixture(scope="module")
def repository():
    return masked_lm()


@pytest.fixture
def hub(repository, monkeypatch, tmp_path):
    """A hub with one model, and an empty cache."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with serving(Hub([repository])) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield running


def fetched(hub) -> list[str]:
    return [path for path in hub.asked if path.startswith("GET /cdn/")]


def refused(message, name=MODEL, revision=None):
    with pytest.raises(AugmentError, match=message) as error:
        download_model(name, revision, "masked LM")
    assert "\n" not in str(error.value)


def test_downloads_once_what_is_needed(hub, repository):
    folder, commit = download_model(MODEL, None, "masked LM")
    assert commit == repository.commit("main")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert download_model(MODEL, "main", "masked LM") == (folder, commit)
    assert download_model(MODEL, "first", "masked LM")[1] == repository.commit("first")
    assert len(fetched(hub)) == 2


def test_without_a_network_the_cache_serves(hub, repository, monkeypatch):
    found = download_model(MODEL, None, "masked LM")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert download_model(MODEL, None, "masked LM") == found
    assert download_model(MODEL, repository.commit("main"), "masked LM") == found
    refused("the hub at http://127.0.0.1:9 gave", revision="first")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused("HF_HUB_OFFLINE is set and it is not, or not whole, in the local cache", revision="first")


def test_what_the_hub_does_not_have(hub):
    refused("has nothing of that name, or it is private", name="no-such-model")
    refused("no such revision on the hub", revision="no-such-revision")
    hub.token = "secret"
    refused("access to it is restricted: .*hf auth login")


def test_a_file_that_differs_from_its_checksum_is_not_kept(hub, tmp_path):
    hub.forged = {"model.safetensors"}
    refused(r"model\.safetensors as downloaded: expected sha256 .*, found .*; it was not kept")
    assert not list(tmp_path.rglob("model.safetensors"))
    hub.forged = set()
    folder, _ = download_model(MODEL, None, "masked LM")
    assert (folder / "model.safetensors").is_file()


def test_what_broke_off_is_no_model_later(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.cut = {"model.safetensors": 60_000}
    refused("the download from .* did not finish .*run the command again")
    assert not list(tmp_path.rglob("model.safetensors"))
    assert not [path for path in tmp_path.rglob("*.incomplete") if path.stat().st_size]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused("not, or not whole, in the local cache")
