"""Processes that train together, as `torchrun` starts them: their variables, and a port for them to meet at."""

from __future__ import annotations

import socket

PORTS = range(20_000, 30_000)  # below those that systems give to whoever asks for any

_claims: list[socket.socket] = []


def free_port() -> int:
    """A port at which nobody listens, and which no test on this machine is given while this process lives."""
    for port in PORTS:
        claim = socket.socket(type=socket.SOCK_DGRAM)  # UDP's port of that number: nobody else wants it
        try:
            claim.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("", port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port
    raise AssertionError(f"expected a free port in {PORTS}, found none")


def two_ranks() -> list[dict[str, str]]:
    """The variables of either of two processes, the first one's first."""
    shared = {
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
    }  # fmt: skip
    return [{**shared, "RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]
