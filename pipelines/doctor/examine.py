"""All checks at once, each in a thread, with one deadline: a check that hangs or breaks becomes a line of its own."""

from __future__ import annotations

import importlib
import os
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from pipelines.doctor import FAIL, OK, WARN, Finding, machine, places, reach, versions
from pipelines.wording import first_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Check = Callable[[], "Finding | list[Finding]"]

SECONDS = 8.0
SHARED = ("torch", "augment.files.hub", "glove.download", "pipelines.tasks.hub")  # by several checks


def examine(out: Path, address: str | None = None) -> list[Finding]:
    """Looks at everything.

    Args:
        out: where runs would be written.
        address: of a Ray cluster; None for RAY_ADDRESS, or one of our own.

    Returns:
        The findings, in the order of the checks.
    """
    end = time.monotonic() + SECONDS
    first = threading.Thread(target=import_shared, daemon=True)
    first.start()
    first.join(SECONDS / 2)
    return run_checks(_checks(out, address), end - time.monotonic())


def import_shared() -> None:
    """Imports what several checks need, one after the other.

    Threads that import different modules of one package can wait for each other's locks, and Python ends that by an
    error in one of them. The check that needs a module reports that it cannot be imported.
    """
    for module in SHARED:
        with suppress(Exception):
            importlib.import_module(module)


def run_checks(checks: dict[str, Check], seconds: float) -> list[Finding]:
    """Runs checks side by side.

    Args:
        checks: name -> check.
        seconds: the deadline for all of them.

    Returns:
        Their findings; a check that raised, or was not done in time, has one that says so.
    """
    done: dict[str, list[Finding]] = {}

    def work(name: str, check: Check) -> None:
        try:
            result = check()
            done[name] = result if isinstance(result, list) else [result]
        except Exception as error:  # whatever is broken on this machine, the other checks go on
            found = f"could not be looked at: {type(error).__name__}: {first_line(error)}"
            done[name] = [Finding(name, WARN, found, "what needs it is likely to fail in the same way: put that right")]

    end = time.monotonic() + seconds
    threads = [threading.Thread(target=work, args=item, daemon=True) for item in checks.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = f"not known after {seconds:.2g} s: the machine or its disk is slow, or the check hangs"
    return [
        finding
        for name in checks
        for finding in done.get(name) or [Finding(name, WARN, late, "run it again; if it stays so, look there first")]
    ]


def _checks(out: Path, address: str | None) -> dict[str, Check]:
    out = out.expanduser().absolute()
    checks: dict[str, Check] = {
        "python": versions.check_python,
        "packages": versions.check_packages,
        "demo pack": places.check_package_data,
        "cores": machine.check_cores,
        "gpus": machine.check_gpus,
        "memory": machine.check_memory,
        "shared memory": places.check_shared_memory,
        "disk for runs": partial(machine.check_disk, "disk for runs", out),
        "disk for vectors": lambda: machine.check_disk("disk for vectors", _own_cache()),
        "folder for runs": partial(
            places.check_writable,
            "folder for runs",
            out,
            FAIL,
            "no run can be written",
            "name another place with --out",
        ),
        "TINYAUG_CACHE": _check_own_cache,
        "hub cache": places.check_hub_cache,
        "ray": partial(reach.check_ray, address, os.environ),
        "model hub": partial(reach.check_hub, os.environ),
        "vectors host": reach.check_vectors,
    }
    if not (address or os.environ.get("RAY_ADDRESS")):
        checks["ray folder"] = partial(places.check_ray_folder, places.ray_folder(os.environ))
    return checks


def _check_own_cache() -> Finding:
    use, name = "vectors cannot be converted, nor a cluster be given its token", "TINYAUG_CACHE"
    return places.check_writable(name, _own_cache(), FAIL, use, f"set {name} to a folder that can be written to")


def _own_cache() -> Path:
    from glove.cache import default_cache_folder  # here, since it needs numpy, which may be what is missing

    return default_cache_folder()


def would_run(findings: list[Finding]) -> bool:
    """Whether the demo would run: nothing failed."""
    return all(finding.state in (OK, WARN) for finding in findings)
