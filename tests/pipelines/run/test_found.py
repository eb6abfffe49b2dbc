"""What a command names is found once, however many of its stages need it."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from augment.errors import AugmentError
from pipelines.augmenting.stage_run import run_parts
from pipelines.found import Found
from pipelines.tasks.glue_files import open_glue
from tests.fixtures import save_tiny_masked_lm
from tests.pipelines.jobs import done
from tests.pipelines.training.verbs import run


def test_a_run_opens_its_task_and_hashes_its_models_once(parts, tmp_path, monkeypatch):
    """Counted where a task's files are opened and where a file is hashed; workers verify for themselves."""
    opened, hashed, working = Counter(), Counter(), []
    digest = hashlib.file_digest

    def found(task, *arguments):
        opened[task.name] += 1
        return open_glue(task, *arguments)

    def read(stream, name):
        if not working:
            hashed[Path(stream.name).resolve()] += 1
        return digest(stream, name)

    def work(*arguments):
        working.append(True)
        run_parts(*arguments)
        working.clear()

    monkeypatch.setattr("pipelines.tasks.opening.open_glue", found)
    monkeypatch.setattr("hashlib.file_digest", read)
    monkeypatch.setattr("pipelines.augmenting.stage_run.run_parts", work)
    out = tmp_path / "run"
    done(*run(parts, out, "--mlm", parts.encoder, "--max-steps", 1, "--submission", tmp_path / "glue.zip"))
    assert opened == {"sst2": 1}
    for folder in (parts.encoder, out / "teacher", out / "student"):
        assert hashed[folder / "model.safetensors"] == 1
    assert max(hashed[path] for path in parts.data.iterdir()) == 1


def test_what_was_not_there_is_looked_for_again(tmp_path):
    found, name = Found(), str(tmp_path / "teacher")
    with pytest.raises(AugmentError, match="found no folder"):
        found.model(name, None, "teacher")
    save_tiny_masked_lm(tmp_path / "teacher")
    assert found.model(name, None, "teacher").fingerprint == Found().masked_lm(name, None).fingerprint
