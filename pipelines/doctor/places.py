"""Folders that are written to, and the files that came with the package."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from distill.wording import shown_bytes
from pipelines.doctor import FAIL, OK, WARN, Finding
from pipelines.doctor.machine import FULL_DISK, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

SHARED = Path("/dev/shm")
RAY_SHARED = 128_000_000  # bytes: the object store that a cluster of ours is started with, and a little
LONGEST_SOCKET = 107  # bytes of a Unix socket's path
RAY_SUFFIX = 66  # /session_<time>_<process>/sockets/plasma_store
NEARLY_FULL = 0.95  # of the disk: Ray refuses to store objects from here on


def check_writable(name: str, folder: Path, state: str, use: str, remedy: str) -> Finding:
    """Whether a folder can be made and written to; leaves nothing behind.

    Args:
        name: of the finding.
        folder: may not exist yet.
        state: if it cannot.
        use: what would fail.
        remedy: what to do about it.
    """
    existing = nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding(name, state, f"{folder} cannot be written to ({error.strerror or error}): {use}", remedy)
    return Finding(name, OK, str(folder) if existing == folder.expanduser().absolute() else f"{folder} (will be made)")


def check_hub_cache() -> Finding:
    """Where models and data sets of the hub are kept: permission and space."""
    from huggingface_hub import constants

    name, folder, what = "HF_HUB_CACHE", Path(constants.HF_HUB_CACHE).expanduser(), "models and data sets"
    remedy = f"set {name}, or HF_HOME, to a folder"
    checked = check_writable(
        name, folder, WARN, f"no {what} can be downloaded from the hub", f"{remedy} that can be written to"
    )
    free = shutil.disk_usage(nearest(folder)).free
    if checked.state == OK and free < FULL_DISK:
        found = f"{folder} has {shown_bytes(free)} free: {what} of the hub may not fit"
        return Finding(name, WARN, found, f"free some, or {remedy} on another disk")
    return checked


def check_package_data() -> Finding:
    """The demo's model, vectors and sentences."""
    from pipelines.demo import DATA, GLOVE, MLM

    wanted = [MLM / "config.json", MLM / "model.safetensors", MLM / "tokenizer.json", GLOVE]
    wanted += [DATA / "train.tsv", DATA / "dev.tsv"]
    missing = [str(path) for path in wanted if not path.is_file() or not path.stat().st_size]
    if missing:
        found = f"{', '.join(missing)} missing: --demo would fail"
        return Finding("demo pack", FAIL, found, "install the package again: pip install --force-reinstall tinyaug")
    return Finding("demo pack", OK, f"{shown_bytes(sum(path.stat().st_size for path in wanted))} at {MLM.parent}")


def check_shared_memory() -> Finding:
    """Where Ray keeps what workers share."""
    if not SHARED.is_dir():
        found = f"no {SHARED}: Ray keeps its objects in its temporary folder, more slowly"
        return Finding("shared memory", WARN, found, "use --engine local if Ray does not start")
    free = shutil.disk_usage(SHARED).free
    if free < RAY_SHARED:
        found = (
            f"{shown_bytes(free)} free at {SHARED}, Ray wants {shown_bytes(RAY_SHARED)}: it uses the disk, more slowly"
        )
        return Finding("shared memory", WARN, found, "start the container with --shm-size=1g, or use --engine local")
    return Finding("shared memory", OK, f"{shown_bytes(free)} free at {SHARED}")


def ray_folder(environment: Mapping[str, str]) -> Path:
    """Where Ray keeps a cluster's sockets, logs and what does not fit into memory.

    Args:
        environment: of this process.
    """
    return Path(environment.get("RAY_TMPDIR") or environment.get("TMPDIR") or "/tmp") / "ray"


def check_ray_folder(folder: Path) -> Finding:
    """Whether a Ray cluster of our own could start there.

    Args:
        folder: see `ray_folder`.
    """
    name = "ray folder"
    long = len(str(folder).encode()) + RAY_SUFFIX > LONGEST_SOCKET
    if long:
        found = f"{folder} is too long a path for Ray's sockets: a local cluster would not start"
        return Finding(name, FAIL, found, "set RAY_TMPDIR to a short path, or use --engine local")
    remedy = "set RAY_TMPDIR to a folder that can be written to, or use --engine local"
    checked = check_writable(name, folder, FAIL, "a local cluster would not start", remedy)
    if checked.state != OK:
        return checked
    used = shutil.disk_usage(nearest(folder))
    if used.free < (1 - NEARLY_FULL) * used.total:
        found = f"{folder} is on a disk that is more than {NEARLY_FULL:.0%} full: Ray may refuse to store objects"
        return Finding(name, WARN, found, "free some, set RAY_TMPDIR to another disk, or use --engine local")
    return checked
