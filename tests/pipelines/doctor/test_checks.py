"""Each check of the doctor under conditions that make it speak."""

from __future__ import annotations

import re
import shutil
import socket
import sys
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants

import pipelines.demo
from pipelines.doctor import FAIL, OK, WARN, Finding, machine, places, reach, versions
from pipelines.doctor.examine import run_checks, would_run
from tests.hub.repositories import glue, masked_lm
from tests.hub.server import Hub, serving
from tests.hub.vectors import NAME, Vectors

NOWHERE = "http://127.0.0.1:9"


def test_a_remedy_exactly_where_something_is_not_ok():
    assert Finding("x", OK, "fine").remedy == ""
    for wrong in (("x", OK, "fine", "do it"), ("x", WARN, "bad"), ("x", "odd", "bad", "do it")):
        with pytest.raises(ValueError, match="expected"):
            Finding(*wrong)


def test_python():
    assert f"{sys.version_info.major}.{sys.version_info.minor}." in versions.check_python().found


def test_packages_here_fit_what_the_project_declares():
    assert any(re.match(r"torch\b", text) for text in versions.declared())
    assert not any("pytest" in text for text in versions.declared())
    (found,) = versions.check_packages()
    assert (found.state, f"torch {metadata.version('torch')}" in found.found) == (OK, True)


def test_packages_that_are_missing_old_or_too_new(monkeypatch):
    have = {"tinyaug": "0.1.0", "torch": "2.6.0+cpu", "rich": "13.6.9", "ray": "2.64.1", "gensim": "4.3.3"}

    def version(name):
        if name not in have:
            raise metadata.PackageNotFoundError(name)
        return have[name]

    monkeypatch.setattr(metadata, "version", version)
    wanted = ["torch>=2.6", "rich>=13.7", "ray[data]>=2.50,<2.64", "gensim>=4.3.3", "scipy>=1.13", "six; extra == 'x'"]
    fit, *others = versions.check_packages(wanted[:5])
    assert fit.found == "tinyaug 0.1.0, torch 2.6.0+cpu, gensim 4.3.3"
    assert [(found.name, found.state) for found in others] == [("rich", WARN), ("ray", WARN), ("scipy", FAIL)]
    assert others[1].remedy == "pip install 'ray[data]>=2.50,<2.64'"
    monkeypatch.setattr(metadata, "requires", lambda _: wanted)
    assert versions.declared() == wanted[:5]


def test_a_source_tree_that_was_never_installed(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert any(text.startswith("torch>=") for text in versions.declared())


def test_gpus(monkeypatch):
    import ctypes.util

    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: None)
    assert machine.check_gpus() == Finding("gpus", OK, "none; everything runs on the CPU")
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: "libcuda.so.1")
    assert machine.check_gpus().state == WARN
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    about = SimpleNamespace(name="Some GPU", total_memory=80_000_000_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: about)
    assert machine.check_gpus().found == "cuda:0 Some GPU, 80.0 GB; with bf16"


def test_a_torch_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert machine.check_gpus().state == FAIL


@pytest.mark.parametrize(("free", "state"), [(400e6, FAIL), (3e9, WARN), (9e9, OK)])
def test_disk(monkeypatch, tmp_path, free, state):
    asked = []
    usage = SimpleNamespace(free=free, total=1e12)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or usage)
    assert machine.check_disk("disk", tmp_path / "not" / "yet").state == state
    assert asked == [tmp_path]


def test_folders(tmp_path):
    later = places.check_writable("out", tmp_path / "a" / "b", FAIL, "nothing runs", "name another")
    assert (later.state, list(tmp_path.iterdir())) == (OK, [])
    (tmp_path / "file").write_text("in the way")
    blocked = places.check_writable("out", tmp_path / "file" / "b", FAIL, "nothing runs", "name another")
    assert blocked.state == FAIL
    assert blocked.found.endswith("(Not a directory): nothing runs")
    assert blocked.remedy == "name another"


def test_the_hubs_cache(monkeypatch, tmp_path):
    place = tmp_path / "models"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place))
    free = {tmp_path: 9e9, place: 3e8}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free[path]))
    assert places.check_hub_cache().state == OK
    place.mkdir()
    full = places.check_hub_cache()
    assert (full.state, full.found) == (WARN, f"{place} has 300.0 MB free: models and data sets of the hub may not fit")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "/proc/nowhere")
    free[Path("/proc")] = 9e9
    blocked = places.check_hub_cache()
    assert (blocked.state, blocked.remedy) == (WARN, "set HF_HUB_CACHE, or HF_HOME, to a folder that can be written to")
    assert blocked.found.endswith("no models and data sets can be downloaded from the hub")


def test_package_data(monkeypatch, tmp_path):
    assert places.check_package_data().state == OK
    empty = tmp_path / "glove.gz"
    empty.touch()
    monkeypatch.setattr(pipelines.demo, "GLOVE", empty)
    found = places.check_package_data()
    assert (found.state, str(empty) in found.found) == (FAIL, True)


def test_shared_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "SHARED", tmp_path)
    assert places.check_shared_memory().state == OK
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=64e6))
    found = places.check_shared_memory()
    assert (found.state, "--shm-size" in found.remedy) == (WARN, True)
    monkeypatch.setattr(places, "SHARED", tmp_path / "none")
    assert places.check_shared_memory().state == WARN


def test_the_folder_of_a_cluster(tmp_path, monkeypatch):
    assert str(places.ray_folder({"RAY_TMPDIR": "/a", "TMPDIR": "/b"})) == "/a/ray"
    assert str(places.ray_folder({})) == "/tmp/ray"
    long = places.check_ray_folder(tmp_path / ("x" * 40))
    assert (long.state, "sockets" in long.found) == (FAIL, True)
    monkeypatch.setattr(places, "LONGEST_SOCKET", 1000)
    assert places.check_ray_folder(tmp_path).state == OK
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2, total=100))
    assert places.check_ray_folder(tmp_path).state == WARN


@pytest.fixture
def online(monkeypatch, tmp_path):
    """Fresh caches and a hub that has two repositories."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    with serving(Hub([glue(), masked_lm()])) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        yield hub


def states(findings):
    return {finding.name: finding.state for finding in findings}


def test_a_hub_that_answers(online):
    assert set(states(reach.check_hub({})).values()) == {OK}
    assert "not here yet, 440 MB" in reach.check_hub({})[2].found
    online.repositories = []
    assert states(reach.check_hub({}))["model hub"] == WARN


def test_a_hub_that_is_out_of_reach(online, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    begin = time.monotonic()
    assert set(states(reach.check_hub({})).values()) == {WARN}
    assert time.monotonic() - begin < 5
    data = tmp_path / "hf" / "hub" / "datasets--nyu-mll--glue" / "snapshots" / ("0" * 40) / "sst2"
    data.mkdir(parents=True)
    for part in ("train", "validation", "test"):
        (data / f"{part}-00000-of-00001.parquet").touch()
    model = tmp_path / "hf" / "hub" / "models--bert-base-uncased"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("1" * 40)
    (model / "snapshots" / ("1" * 40)).mkdir(parents=True)
    (model / "snapshots" / ("1" * 40) / "config.json").write_text("{}")
    assert states(reach.check_hub({}))["masked LM"] == WARN  # without weights it is of no use
    (model / "snapshots" / ("1" * 40) / "model.safetensors").write_text("weights")
    expected = {"model hub": WARN, "sst2 data": OK, "masked LM": OK, "general student": WARN}
    assert states(reach.check_hub({})) == expected


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"])
def test_offline_by_choice(online, name):
    found = reach.check_hub({name: "1"})[0]
    assert (found.state, found.remedy.startswith(f"unset {name}"), online.asked) == (WARN, True, [])
    assert reach.check_hub({name: "0"})[0].state == OK


def test_vectors(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYAUG_CACHE", str(tmp_path))
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path / "gensim-data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Vectors()) as server:
        monkeypatch.setenv("TINYAUG_GENSIM_URL", server.url)
        assert states(reach.check_vectors()) == {"vectors host": OK, "GloVe": OK}
    monkeypatch.setenv("TINYAUG_GENSIM_URL", NOWHERE)
    assert states(reach.check_vectors()) == {"vectors host": WARN, "GloVe": WARN}
    (tmp_path / "gensim").mkdir()
    (tmp_path / "gensim" / f"{NAME}.gz").write_text("vectors")
    assert states(reach.check_vectors()) == {"vectors host": WARN, "GloVe": OK}


def test_ray(monkeypatch):
    assert reach.check_ray(None, {}).state == OK
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*server.getsockname())
        refused = reach.check_ray(address, {})
        assert (refused.state, refused.found.startswith(f"--address {address}")) == (FAIL, True)
        assert "unset RAY_ADDRESS" in reach.check_ray(None, {"RAY_ADDRESS": address}).remedy
        server.listen()
        assert reach.check_ray(address, {}).state == OK
    monkeypatch.setattr(reach.importlib.util, "find_spec", lambda _: None)
    assert reach.check_ray(None, {}).state == FAIL


def test_a_check_that_breaks_and_one_that_hangs():
    begin = time.monotonic()
    checks = {"broken": lambda: 1 / 0, "slow": lambda: time.sleep(5), "fine": lambda: Finding("fine", OK, "yes")}
    broken, slow, fine = run_checks(checks, 0.3)
    assert time.monotonic() - begin < 2
    assert (broken.state, "ZeroDivisionError" in broken.found) == (WARN, True)
    assert (slow.state, "not known after 0.3 s" in slow.found) == (WARN, True)
    assert fine.state == OK
    assert would_run([broken, slow, fine])
    assert not would_run([Finding("x", FAIL, "no", "do it")])
