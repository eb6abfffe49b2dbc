"""A run directory on a file system without locks, and a clock that stands still."""

from __future__ import annotations

import pytest

from tests.pipelines.run_folder.leases import place_without_locks, stopped_clock


@pytest.fixture
def storage(tmp_path, monkeypatch):
    return place_without_locks(tmp_path, monkeypatch)


@pytest.fixture
def clock(monkeypatch):
    return stopped_clock(monkeypatch)
