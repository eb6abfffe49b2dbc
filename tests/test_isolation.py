"""What one test leaves to the next, and what tests of several processes have of one another: nothing."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests import ranks, ready
from tests.conftest import THREADS
from tests.ranks import free_port, two_ranks


def test_threads_of_a_test():
    torch.set_num_threads(THREADS + 2)
    assert torch.get_num_threads() == THREADS + 2


def test_are_gone_in_the_next():
    assert torch.get_num_threads() == THREADS


def test_a_port_is_given_once():
    mine = {free_port() for _ in range(3)}
    command = [sys.executable, "-c", "from tests.ranks import free_port; print(*[free_port() for _ in range(3)])"]
    ran = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    assert len(mine | {*map(int, ran.stdout.split())}) == 6


def test_a_port_where_somebody_listens_is_not_given(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(ranks, "PORTS", range(port, port + 1))
        with pytest.raises(AssertionError, match="found none"):
            free_port()


def test_two_ranks_meet_at_one_port():
    first, second = two_ranks()
    assert (first["RANK"], second["RANK"]) == ("0", "1")
    assert first["MASTER_PORT"] == second["MASTER_PORT"] != two_ranks()[0]["MASTER_PORT"]


def test_a_server_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr(ready, "SECONDS_TO_END", 0.05)
    server = subprocess.Popen(["sleep", "60"])
    ready._end(socket.socket(), server)
    assert server.returncode == -signal.SIGKILL
