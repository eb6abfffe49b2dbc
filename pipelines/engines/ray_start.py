"""Starts Ray on this machine or joins a cluster, and keeps signals this process's own while it does."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipelines.engines.engine import GPU_CORES, EngineSettings, worker_count
from pipelines.errors import JobError, UserError
from pipelines.machine.network import connection_trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    Raylet = subprocess.Popen[Any] | None

OBJECT_STORE_BYTES = 100_000_000  # numbers and records only
DEADLINE = 4.0  # seconds, name look-up included


def start_ray(settings: EngineSettings, parts: int) -> tuple[Any, Raylet]:
    """Starts Ray, or joins the cluster that is named by `settings` or RAY_ADDRESS.

    Args:
        settings: workers, threads, gpu and address are read.
        parts: how many parts are left.

    Returns:
        The module `ray`, connected; its raylet, None where that is another's or cannot be told.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    address = settings.address or os.environ.get("RAY_ADDRESS")
    if address:
        require_reachable(address)
    else:
        _own_token()  # Ray reads it when it is imported, not when it starts
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 would let any other program take the cores
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError(
            "--engine ray: expected Ray, found none; pip install 'ray[data]', or use --engine local"
        ) from error
    where: dict[str, Any] = {"address": address}
    if not address:
        cores = worker_count(settings, parts) * (GPU_CORES if settings.gpu else settings.threads)
        where = {
            "address": "local",  # else Ray looks for what `ray start` has left on this machine, alive or not
            "num_cpus": cores,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    try:
        with _sigterm_is_ours(), _groups_of_their_own() as started:
            ray.init(logging_level=logging.WARNING, log_to_driver=False, **where)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"--address {address or '(none)'}: expected a Ray cluster that can be joined, found: "
            f"{str(error).strip().splitlines()[0]}; check the address, or use --engine local"
        ) from error
    _log_to_descriptor_2("ray", "ray.data")
    raylets = (one for one in started if isinstance(one.args, list) and Path(str(one.args[0])).name == "raylet")
    return ray, next(raylets, None)


def _log_to_descriptor_2(*names: str) -> None:
    """Sends the warnings of loggers where native code writes its own, whatever `sys.stderr` is."""
    for name in names:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.handlers = [one for one in logger.handlers if not isinstance(one, logging.StreamHandler)]
        logger.addHandler(logging.StreamHandler(os.fdopen(2, "w", errors="replace", closefd=False)))


@contextmanager
def ended_with(raylet: Raylet) -> Iterator[None]:
    """Ends the block as soon as the raylet ends.

    Ray itself would try for half a minute, then exit from C++, where no Python runs any more.

    Args:
        raylet: a child of this process, or None.

    Raises:
        JobError: it ended.
    """
    if raylet is None or threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set handlers
        return

    def look(*_: object) -> None:
        if (code := raylet.poll()) is not None:
            cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise JobError(
                f"Ray: expected its raylet to live as long as the job, found it ended by {cause}; what was "
                "finished is kept: look for what ended it (often the system, when memory is short: free some, or give "
                "fewer --workers), then run the same command again"
            )

    on_child = signal.signal(signal.SIGCHLD, look)
    try:
        look()
        yield
    finally:
        signal.signal(signal.SIGCHLD, on_child)


@contextmanager
def _sigterm_is_ours() -> Iterator[None]:
    """Keeps our handler of SIGTERM: Ray's own exits with another code. A signal that it caught is sent again."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set handlers, so Ray sets none
        return
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, on_term)
    except SystemExit:
        signal.signal(signal.SIGTERM, on_term)  # Ray's handler may have run just before it was taken away
        signal.raise_signal(signal.SIGTERM)
        raise


@contextmanager
def _groups_of_their_own() -> Iterator[list[subprocess.Popen[Any]]]:
    """Makes each process that starts meanwhile lead a process group of its own; gives these processes.

    Otherwise a signal to the whole group (from a shell or `timeout`) would also reach the raylet, whose end makes Ray
    exit with code 1 before this process can end in order. On Linux the kernel ends them with this process all the
    same; elsewhere Ray has a process that ends the group, so nothing is changed there.
    """
    started: list[subprocess.Popen[Any]] = []
    if sys.platform != "linux":
        yield started
        return
    popen = subprocess.Popen.__init__

    def apart(self: Any, *arguments: Any, **named: Any) -> None:
        popen(self, *arguments, **{"process_group": 0, **named})
        started.append(self)

    subprocess.Popen.__init__ = apart  # type: ignore[method-assign]
    try:
        yield started
    finally:
        subprocess.Popen.__init__ = popen  # type: ignore[method-assign]


def _own_token() -> None:
    """Gives a cluster of our own its own token: Ray's default would put one into the user's home for all clusters."""
    if "RAY_AUTH_MODE" in os.environ or "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    from glove.cache import atomic_file, default_cache_folder  # here, since it needs numpy

    path = default_cache_folder() / "ray-token"
    if not path.exists():
        with atomic_file(path) as stream:  # which only its owner can read
            stream.write(secrets.token_hex(32).encode())
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)


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
