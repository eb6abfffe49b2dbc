"""A machine of its own for each command: fresh caches, and servers in the place of the hub and of gensim's releases."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hub.repositories import general_student, glue, masked_lm
from tests.hub.server import Hub, serving
from tests.hub.vectors import Vectors
from tests.ready import LIBRARIES, start_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
OWN = ("HF_", "TRANSFORMERS_", "TINYAUG_", "RAY_", "GENSIM_")
NOWHERE = "http://127.0.0.1:9"


@dataclass
class Ran:
    """A command that ended: its exit code, everything it printed, its seconds."""

    code: int
    text: str
    seconds: float


@dataclass
class Machine:
    """A machine without anything in its caches.

    Args:
        folder: where all of it lies.
        hub: its hub.
        vectors: its gensim releases.
    """

    folder: Path
    hub: Hub
    vectors: Vectors

    def environment(self, **changes: str) -> dict[str, str]:
        """Variables of its processes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
        return {
            **kept,
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.folder / "hf"),
            "TINYAUG_CACHE": str(self.folder / "cache"),
            "TINYAUG_GENSIM_URL": self.vectors.url,
            "GENSIM_DATA_DIR": str(self.folder / "gensim-data"),
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONPATH": str(ROOT),
            **changes,
        }

    def run(self, *arguments: str, **changes: str) -> Ran:
        """`tinyaug …` as a process of its own."""
        begin = time.monotonic()
        process = start_ready("pipelines", [*arguments], self.environment(**changes), self.folder, LIBRARIES)
        out, err = process.communicate(120)
        return Ran(process.wait(0), err + out, time.monotonic() - begin)


def command(*arguments: str) -> list[str]:
    """The command line of a process."""
    return [sys.executable, "-m", "pipelines", *arguments]


def side_by_side(*calls: Callable[[], Ran]) -> list[Ran]:
    """Runs commands at the same time."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: call(), calls))


@pytest.fixture(scope="session")
def repositories():
    """What the hub has."""
    return [glue(), masked_lm(), general_student()]


@pytest.fixture
def machine(repositories, tmp_path) -> Iterator[Callable[[str], Machine]]:
    """Makes machines by name."""
    stack = []

    def make(name: str = "machine") -> Machine:
        made = Machine(tmp_path / name, Hub(list(repositories)), Vectors())
        made.folder.mkdir()
        for server in (made.hub, made.vectors):
            context = serving(server)
            context.__enter__()
            stack.append(context)
        return made

    yield make
    for context in stack:
        context.__exit__(None, None, None)
