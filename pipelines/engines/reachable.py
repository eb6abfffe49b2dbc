"""Whether a Ray cluster answers at all: Ray itself knocks for many minutes before it gives up."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

from pipelines.errors import UserError

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
    found = _attempt(host, port)
    if found:
        raise UserError(
            f"--address {address}: expected a Ray cluster that can be joined, found {found}; check the address, start "
            "the cluster with `ray start --head`, or use --engine local"
        )


def _attempt(host: str, port: int) -> str:
    """What stands in the way; empty if something listens. In a thread, since a name look-up has no timeout."""
    outcome: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=DEADLINE).close()
            outcome.append("")
        except OSError as error:
            outcome.append(error.strerror or str(error) or type(error).__name__)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    return outcome[0] if outcome else f"no answer within {DEADLINE:.0f} seconds"
