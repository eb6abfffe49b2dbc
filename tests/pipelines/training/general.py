"""A corpus, and a general student that learned from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.pipelines.jobs import done, sentences
from tests.pipelines.training.verbs import general, metrics

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipelines.training.verbs import Parts

MASKED = ("--mlm-weight", 1, "--mlm-soft", 0.5, "--whole-word")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 sentences in documents of seven."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    lines = [text + ("\n" if number % 7 == 6 else "") for number, text in enumerate(sentences(300, seed=4))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def masked(parts: Parts, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A general student that is a masked LM, too; look, don't touch."""
    out = tmp_path_factory.mktemp("general") / "out"
    done(*general(parts, corpus, out, *MASKED, "--embedding-init", "projected"))
    return out


def counts(folder: Path) -> str:
    """What a plan says of the corpus that a finished folder learned from."""
    found = metrics(folder)
    return f"corpus: {found['sequences']:,} sequences ({found['pairs']:,} pairs), {found['tokens']:,} tokens\n"


def with_config(folder: Path, source: Path, **changes: object) -> Path:
    """A copy of a model's configuration with changes."""
    content = json.loads(source.read_text())
    (folder / "shape.json").write_text(json.dumps(content | changes))
    return folder / "shape.json"
