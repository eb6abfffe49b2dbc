"""`torchrun`: two processes finish a stage together, on a first start, again, and afresh."""

from __future__ import annotations

import pytest

from tests.pipelines.jobs import finish, start
from tests.pipelines.training.verbs import distill, finetune, general
from tests.ranks import two_ranks

pytestmark = pytest.mark.integration


def said_by_two(command: list[str], codes: tuple[int, int] = (0, 0)) -> list[str]:
    """What each rank said; both must succeed, or end as told."""
    ranks = [start(*command, **variables) for variables in two_ranks()]
    ended = [finish(rank) for rank in ranks]
    assert [ran.code for ran in ended] == [*codes], ended[0].err + ended[1].err
    return [ran.out + ran.err for ran in ended]


@pytest.mark.parametrize("verb", [finetune, distill])
def test_again_and_afresh(parts, tmp_path, verb):
    command = verb(parts, tmp_path / "out", "--max-steps", 3)
    said_by_two(command)
    model = (tmp_path / "out/model.safetensors").read_bytes()
    assert "everything was done already" in said_by_two(command)[0]
    assert "everything was done already" not in said_by_two([*command, "--overwrite"])[0]
    assert (tmp_path / "out/model.safetensors").read_bytes() == model


def test_the_other_ends_when_the_first_has_refused(parts, corpus, tmp_path):
    command = general(parts, corpus, tmp_path / "out", "--cache", "full", "--cache-budget", "1K")
    first, second = said_by_two(command, (2, 1))
    assert "expected a cache within" in first
    assert "expected the first process to write the data, found nobody at work there" in second
