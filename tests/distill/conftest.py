"""Shards that many tests read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.distill.data import write_shards

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred sentences in three shards; look, don't touch."""
    return write_shards(tmp_path_factory.mktemp("data") / "shards")
