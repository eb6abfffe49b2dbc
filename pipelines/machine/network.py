"""Whether anything listens at an address, within seconds: clients knock for long before they give up."""

from __future__ import annotations

import socket

from glove.deadline import ask_in_time


def connection_trouble(host: str, port: int, seconds: float) -> str:
    """What stands in the way of a connection; empty if something listens.

    Args:
        host: its name or number.
        port: to connect to.
        seconds: the deadline.
    """
    try:
        ask_in_time(lambda: socket.create_connection((host, port), timeout=seconds).close(), seconds)
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    except UnicodeError as error:  # no name that can be looked up
        return str(error)
    return ""
