"""Whether anything listens at an address, within seconds: clients knock for long before they give up."""

from __future__ import annotations

import socket
import threading


def connection_trouble(host: str, port: int, seconds: float) -> str:
    """What stands in the way of a connection; empty if something listens.

    In a thread, since a name look-up has no timeout of its own.

    Args:
        host: its name or number.
        port: to connect to.
        seconds: the deadline.
    """
    outcome: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            outcome.append("")
        except OSError as error:
            outcome.append(error.strerror or str(error) or type(error).__name__)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0] if outcome else f"no answer within {seconds:.0f} seconds"
