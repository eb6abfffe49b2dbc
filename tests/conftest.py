"""Shared fixtures; every test runs offline."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Of torch, here and in the processes that tests start: sums depend on the number of threads in their last bits, and
# where processes share the cores, threads that wait for each other take many times as long.
os.environ["OMP_NUM_THREADS"] = "1"

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import settings

from tests.fixtures import glove_text, save_tiny_masked_lm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THREADS = torch.get_num_threads()

# The same examples every time, so that a change fails by its own doing. Look for new ones now and then:
# HYPOTHESIS_PROFILE=default python -m pytest tests/augment tests/glove tests/distill/test_order.py
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test without a marker is a unit test; of several processes none is left alone with a long file at the end."""
    for item in items:
        if not any(item.get_closest_marker(name) for name in ("unit", "integration", "gpu")):
            item.add_marker(pytest.mark.unit)
    if hasattr(config, "workerinput"):  # one of pytest-xdist's processes, which take whole files in this order
        long_files = {item.path for item in items if item.get_closest_marker("integration")}
        items.sort(key=lambda item: item.path not in long_files)


@pytest.fixture(scope="session")
def mlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny masked LM and its tokenizer."""
    return save_tiny_masked_lm(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def glove_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GloVe text file of twenty words."""
    path = tmp_path_factory.mktemp("glove") / "glove.tiny.8d.txt"
    path.write_text(glove_text(), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _own_threads() -> Iterator[None]:
    """Torch's threads are a test's own: what it, or a job that it runs, sets them to ends with it."""
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(THREADS)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps tests away from the user's cache folder; one cache for the whole session."""
    monkeypatch.setenv("TINYAUG_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
