"""What tells a process from all others, so that a later one on the same machine knows whether it still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

BOOT = Path("/proc/sys/kernel/random/boot_id")
ENDED = "ZX"  # states of a process that has ended and was not waited for yet


def mark_of_this_process() -> dict[str, Any]:
    """Host and process, for people; on Linux what no other process shares, too: boot, namespace, time of its start."""
    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "machine": _machine(),
        "started": _started(os.getpid()),
    }


def lives_here(mark: dict[str, Any]) -> bool | None:
    """Whether a process of this machine still lives; None if unknown.

    The host's name counts, too: virtual machines that were resumed from one snapshot share boot and namespace.

    Args:
        mark: what `mark_of_this_process` gave in that process, as it is read back.
    """
    machine, process, started = mark.get("machine"), mark.get("process"), mark.get("started")
    here = mark.get("host") == socket.gethostname() and machine is not None and machine == _machine()
    if not here or not isinstance(process, int) or started is None:
        return None
    return _started(process) == started


def _machine() -> str | None:
    """This boot of this machine, and the namespace in which its process numbers count; None if unknown."""
    try:
        return f"{BOOT.read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _started(process: int) -> int | None:
    """Clock ticks from boot to a process's start; None if it is gone."""
    try:
        # The name of the program, in brackets, may hold anything; behind it come state and 18 numbers.
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in ENDED else int(fields[19])
