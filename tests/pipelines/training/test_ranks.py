"""`torchrun`: two processes finish a stage together, on a first start, again, and afresh."""

from __future__ import annotations

import socket

import pytest

from tests.pipelines.jobs import finish, start
from tests.pipelines.training.verbs import distill, finetune, general

pytestmark = pytest.mark.integration


def two_ranks(command: list[str], codes: tuple[int, int] = (0, 0)) -> list[str]:
    """What each rank said; both must succeed, or end as told."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_WORLD_SIZE": "2"}
    ranks = [start(*command, OMP_NUM_THREADS="1", RANK=rank, LOCAL_RANK=rank, **shared) for rank in ("0", "1")]
    ended = [finish(rank) for rank in ranks]
    assert [ran.code for ran in ended] == [*codes], ended[0].err + ended[1].err
    return [ran.out + ran.err for ran in ended]


@pytest.mark.parametrize("verb", [finetune, distill])
def test_again_and_afresh(parts, tmp_path, verb):
    command = verb(parts, tmp_path / "out", "--max-steps", 3)
    two_ranks(command)
    model = (tmp_path / "out/model.safetensors").read_bytes()
    assert "everything was done already" in two_ranks(command)[0]
    assert "everything was done already" not in two_ranks([*command, "--overwrite"])[0]
    assert (tmp_path / "out/model.safetensors").read_bytes() == model


def test_the_other_ends_when_the_first_has_refused(parts, corpus, tmp_path):
    command = general(parts, corpus, tmp_path / "out", "--cache", "full", "--cache-budget", "1K")
    first, second = two_ranks(command, (2, 1))
    assert "expected a cache within" in first
    assert "expected the first process to write the packed corpus, found nobody at work there" in second
