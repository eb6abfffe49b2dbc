"""`tinyaug doctor` as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pipelines.jobs import tinyaug

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


def doctor(folder, *arguments, **changes):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "RAY_"))}
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "TINYAUG_GENSIM_URL": "http://127.0.0.1:9"}
    places = {"HF_HOME": str(folder / "hf"), "TINYAUG_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipelines", "doctor", *arguments]
    environment = {**kept, **nowhere, **places, "COLUMNS": "100", **changes}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_without_a_network_the_demo_runs(tmp_path):
    begin = time.monotonic()
    ran = doctor(tmp_path, "--json", "doctor.json")
    assert time.monotonic() - begin < 10
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "the demo runs here" in ran.stdout
    assert "→ check the network" in ran.stdout
    content = json.loads((tmp_path / "doctor.json").read_text())
    assert content["demo_runs"] is True
    states = {finding["name"]: finding["state"] for finding in content["findings"]}
    assert (states["demo pack"], states["ray"], states["model hub"], states["GloVe"]) == ("ok", "ok", "warn", "warn")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["doctor.json"]


def test_what_keeps_the_demo_from_running(tmp_path):
    (tmp_path / "file").touch()
    places = {"TINYAUG_CACHE": str(tmp_path / "file" / "cache"), "HF_HUB_CACHE": "/proc/nowhere"}
    ran = doctor(tmp_path, "--json", "-", "--address", "127.0.0.1:9", **places)
    assert (ran.returncode, ran.stderr) == (1, "")
    found = {finding["name"]: finding for finding in json.loads(ran.stdout)["findings"]}
    failed = {name: finding for name, finding in found.items() if finding["state"] == "fail"}
    assert failed.keys() == {"TINYAUG_CACHE", "ray"}
    assert all(finding["remedy"] for finding in failed.values())
    assert found["HF_HUB_CACHE"]["state"] == "warn"
    assert "/proc/nowhere cannot be written to" in found["HF_HUB_CACHE"]["found"]


def test_a_file_that_cannot_be_written(tmp_path):
    ran = tinyaug("doctor", "--json", tmp_path / "no/such/doctor.json")
    assert (ran.code, "doctor.json: expected a folder to write it into" in ran.err) == (2, True)


def test_checks_side_by_side_import_nothing_of_our_own_packages(tmp_path):
    # Two threads that enter one package by different doors can end in Python's _DeadlockError.
    code = """
import sys
from pathlib import Path
from pipelines.doctor.examine import _checks, import_shared
import_shared()
before = set(sys.modules)
for check in _checks(Path("runs"), None).values():
    check()
new = {name for name in set(sys.modules) - before if name.split(".")[0] in ("glove", "augment", "torch")}
print(sorted(new))
"""
    kept = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "TINYAUG_GENSIM_URL": "http://127.0.0.1:9"}
    environment = {**kept, "TINYAUG_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
