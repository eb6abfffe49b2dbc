"""A file of the user's that is called as one of our packages is named in the error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in a folder, from which it imports before all others."""
    variables = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return subprocess.run([sys.executable, *command], cwd=folder, env=variables, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["augment", "distill", "glove"])
def test_the_command_names_the_file(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("raise SystemExit('ran')")
    ran = run(tmp_path, "-m", "pipelines", "doctor")
    assert ran.returncode == 2
    assert ran.stdout == ""
    found = f"found {tmp_path / name}.py, which hides it: rename that file"
    assert ran.stderr == f"tinyaug: error: expected the package {ROOT / name}; {found}\n"


@pytest.mark.parametrize(("script", "name"), [("augment", "pipelines"), ("glove", "augment"), ("distill", "pipelines")])
def test_a_script_that_is_called_as_a_package_is_named(tmp_path, script, name):
    public = {"pipelines": "run", "augment": "Augmenter"}[name]
    (tmp_path / f"{script}.py").write_text(f"from {name} import {public}\n")
    ran = run(tmp_path, f"{script}.py")
    assert ran.returncode == 1
    assert f"ImportError: expected the package {ROOT / script}" in ran.stderr
    assert f"found {tmp_path / script}.py" in ran.stderr


def test_a_folder_that_is_no_package_hides_nothing(tmp_path):
    (tmp_path / "glove").mkdir()
    ran = run(tmp_path, "-c", "from augment import Edit; from pipelines.hidden import refuse_hidden; refuse_hidden()")
    assert (ran.returncode, ran.stderr) == (0, "")
