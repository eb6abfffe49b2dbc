"""Whether a Ray cluster answers at all: Ray itself knocks for many minutes before it gives up."""

from __future__ import annotations

from urllib.parse import urlsplit

from pipelines.errors import UserError
from pipelines.machine.network import connection_trouble

DEADLINE = 4.0  # seconds, name look-up included


def require_reachable(address: str) -> None:
    """Refuses an address where nobody listens.

    Args:
        address: as Ray takes it: `auto` and `local` are its own to resolve; `host:port` and `ray://host:port` are
            tried.

    Raises:
        UserError: it is no address, or nothing answers there within the deadline.
    """
    if ":" not in address:
        return
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise UserError(
            f"--address {address}: expected auto, host:port or ray://host:port; `ray start --head` prints the address"
        )
    found = connection_trouble(host, port, DEADLINE)
    if found:
        raise UserError(
            f"--address {address}: expected a Ray cluster that can be joined, found {found}; check the address, start "
            "the cluster with `ray start --head`, or use --engine local"
        )
