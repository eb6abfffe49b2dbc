"""Addresses of Ray clusters that are refused at once."""

from __future__ import annotations

import socket
import time

import pytest

from pipelines.engines import ray_start
from pipelines.engines.ray_start import require_reachable
from pipelines.errors import UserError


@pytest.fixture
def silent():
    """A port at which nobody listens, nor can before the test ends."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}", "no-such-host.invalid:1"])
def test_where_nobody_listens(address, silent):
    address = address.format(port=silent)
    start = time.monotonic()
    with pytest.raises(UserError, match="expected a Ray cluster") as error:
        require_reachable(address)
    assert time.monotonic() - start < 5
    assert address in str(error.value)


def test_an_answer_that_never_comes(monkeypatch):
    monkeypatch.setattr(ray_start, "DEADLINE", 0.2)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: time.sleep(1) or socket.socket())
    with pytest.raises(UserError, match="no answer within"):
        require_reachable("slow:1")


@pytest.mark.parametrize("address", ["host:", ":6379", "host:port", "ray://"])
def test_no_address(address):
    with pytest.raises(UserError, match="expected auto"):
        require_reachable(address)


def test_where_somebody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        require_reachable(f"127.0.0.1:{server.getsockname()[1]}")
    require_reachable("auto")
