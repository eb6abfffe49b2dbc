"""Cores and memory that this process may use, the limits of its control groups (version 1 and 2) included."""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS, OWN_GROUP, MEMINFO = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"), Path("/proc/meminfo")
UNLIMITED = 2**60  # bytes: version 1 has no word for it, but a number close to 2**63


def visible_cores() -> int:
    """Cores that this process may run on, whatever share of them it gets."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def usable_cores() -> int:
    """Cores that can be kept busy: the visible ones, or as many as the control group gives, rounded."""
    limit = cpu_limit()
    return visible_cores() if limit is None else min(visible_cores(), max(1, round(limit)))


def usable_memory() -> int | None:
    """Bytes that programs could have and the control group leaves; None where the system says neither."""
    return min((number for number in (free_memory(), memory_left()) if number is not None), default=None)


def cpu_limit() -> float | None:
    """Cores that the control group gives; None for no limit."""
    found = [text_of(group / "cpu.max").split() for group in _groups("")]
    files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    found += [[text_of(group / name).strip() for name in files] for group in _groups("cpu")]
    limits = []
    for numbers in found:
        if len(numbers) == 2 and all(map(str.isdecimal, numbers)) and int(numbers[1]) > 0:
            limits.append(int(numbers[0]) / int(numbers[1]))
    return min(limits, default=None)


def memory_left() -> int | None:
    """Bytes that the control group leaves; None for no limit."""
    found = [_left(group, "memory.max", "memory.current", "") for group in _groups("")]
    # Version 1 counts the groups below in its usage, but in its stat only under names of their own.
    found += [_left(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_") for group in _groups("memory")]
    return min((number for number in found if number is not None), default=None)


def free_memory() -> int | None:
    """Bytes that programs could have, of the whole machine's; None where the system does not say."""
    kilobytes = _numbers(MEMINFO).get("MemAvailable:")
    return None if kilobytes is None else kilobytes * 1024


def text_of(path: Path) -> str:
    """What a file of the system says; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _left(group: Path, limit_file: str, used_file: str, prefix: str) -> int | None:
    limit, used = text_of(group / limit_file).strip(), text_of(group / used_file).strip()
    if not (limit.isdecimal() and used.isdecimal()) or int(limit) >= UNLIMITED:
        return None
    stat = _numbers(group / "memory.stat")
    # What was read from files counts as used, but is given up as soon as a program needs the room.
    reclaimable = sum(stat.get(f"{prefix}{name}", 0) for name in ("inactive_file", "active_file"))
    return max(0, int(limit) - max(0, int(used) - reclaimable))


def _numbers(path: Path) -> dict[str, int]:
    """Lines of a name and a number, as memory.stat and meminfo have them; others are left out."""
    rows = [line.split() for line in text_of(path).splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


def _groups(controller: str) -> list[Path]:
    """This process's control group and those above it, up to what is mounted.

    In a container the group may go by its name on the host, while its files lie where they are mounted.

    Args:
        controller: of version 1; empty for version 2.
    """
    mount, own = CGROUPS / controller, ""
    for line in text_of(OWN_GROUP).splitlines():
        _, _, rest = line.partition(":")
        names, _, found = rest.partition(":")
        if controller in names.split(","):
            together = CGROUPS / names  # such as cpu,cpuacct; the link `cpu` may be missing
            mount, own = together if together.is_dir() else mount, found
    path = mount / own.strip("/")
    return [path, *(parent for parent in path.parents if parent.is_relative_to(mount))]
