"""A disk that fills up: said clearly, and the job goes on when there is space again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import job
from tests.pipelines.jobs import contents, done, tinyaug


def full_after(files: int, monkeypatch) -> None:
    """Lets so many files be written; those after them lie on a device that is always full."""
    opened, left = Path.open, [files]

    def fill(self: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        if mode == "wb" and self.parent.name == ".partial":
            left[0] -= 1
            if left[0] < 0:
                return Path("/dev/full").open("wb")
        return opened(self, mode, *more, **named)

    monkeypatch.setattr(Path, "open", fill)


@pytest.mark.parametrize("writes", [5, 6, 60], ids=["record", "shard", "variants"])
def test_full_disk(many, run, reference, monkeypatch, writes):
    with monkeypatch.context() as patch:
        full_after(writes, patch)
        ran = tinyaug(*job(many, run))
    assert ran.code == 1
    assert "no space left" in ran.err
    assert "free some space and run the same command again" in ran.err
    assert "Traceback" not in ran.err
    assert not (run / ".partial").exists()
    done(*job(many, run))
    assert contents(run) == contents(reference)


def test_full_disk_while_the_input_is_read(many, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        full_after(3, patch)
        ran = tinyaug(*job(many, tmp_path / "run"))
    assert (ran.code, "no space left" in ran.err) == (1, True)
    done(*job(many, tmp_path / "run"))
