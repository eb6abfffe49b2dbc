"""The model hub: whether it answers, a model's files from it or from its cache, and its errors in plain words."""

from __future__ import annotations

import errno
import hashlib
import re
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from augment.errors import AugmentError
from glove.deadline import ask_in_time

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

HUB_SECONDS = 4.0  # for the hub's first answer, name look-up included
PATTERNS = ["*.json", "vocab.txt", "*.safetensors"]
PICKLE = "pytorch_model.bin"  # of old repositories without safetensors; torch reads it through `weights_only`
SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def download_model(name: str, revision: str | None, what: str) -> tuple[Path, str]:
    """A model's files: downloaded into the hub's cache, or from there alone where the hub does not answer.

    Args:
        name: repository on the hub.
        revision: branch, tag or commit.
        what: the model's part in the job, for messages.

    Returns:
        The folder and the commit.

    Raises:
        AugmentError: no such model or revision, no network, a download that broke off, a full disk.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    begin, trouble, commit = time.time(), None, None
    try:
        known = ask_in_time(lambda: HfApi().model_info(name, revision=revision, timeout=HUB_SECONDS), HUB_SECONDS)
        commit = _cached_commit(name, known)
    except Exception as error:  # what was downloaded earlier must do
        trouble = error
    try:
        folder = _snapshot(name, commit or revision, offline=bool(commit or trouble))
    except Exception as error:  # the hub's client raises many kinds: HTTP, offline, bad name, disk
        told = isinstance(trouble or error, OfflineModeIsEnabled)
        network = "unset HF_HUB_OFFLINE where there is a network" if told else "the network"
        raise AugmentError(
            f"{what} {name}: expected a model folder or a name on the hub; there is no such folder, and "
            f"{explain(trouble or error, asked=trouble is not None)}. Check the name and {network}, or pass a "
            "local folder"
        ) from error
    _check_fetched(folder, begin, f"{what} {name}")
    return folder, folder.name


def _snapshot(name: str, revision: str | None, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(name, revision=revision, allow_patterns=PATTERNS, local_files_only=offline))
    if not offline and not any(folder.glob("*.safetensors")):
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=[*PATTERNS, PICKLE]))
    return folder


def _cached_commit(name: str, known: ModelInfo | None) -> str | None:
    """The commit that the hub names, where nothing of it is left to fetch: it is read without bars of downloads."""
    from huggingface_hub import try_to_load_from_cache

    files = [file.rfilename for file in (known.siblings if known is not None else None) or ()]
    wanted = [file for file in files if any(fnmatch(file, pattern) for pattern in PATTERNS)]
    if known is None or not wanted:
        return None
    if not any(file.endswith(".safetensors") for file in wanted):
        wanted.append(PICKLE)
    cached = (try_to_load_from_cache(name, file, revision=known.sha) for file in wanted)
    return known.sha if all(isinstance(path, str) for path in cached) else None


def explain(error: Exception, asked: bool = False) -> str:
    """What the hub or its client has to say, in one line.

    Args:
        error: whatever was raised.
        asked: whether the first question already failed; otherwise something broke off later.
    """
    from huggingface_hub import constants, errors

    line = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    if isinstance(error, errors.GatedRepoError):
        return "access to it is restricted: ask for it on its page, then log in with `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the hub at {constants.ENDPOINT} has nothing of that name, or it is private (`hf auth login`)"
    if isinstance(error, errors.RevisionNotFoundError):
        return "it has no such revision on the hub"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set and it is not, or not whole, in the local cache ({constants.HF_HOME})"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"no space is left for the cache ({constants.HF_HOME}): free some, or set HF_HOME"
    if asked or isinstance(error, errors.HfHubHTTPError):
        return f"the hub at {constants.ENDPOINT} gave {type(error).__name__}: {line}"
    return (
        f"the download from {constants.ENDPOINT} did not finish ({type(error).__name__}: {line}); files that were "
        "complete are kept, run the command again"
    )


def _check_fetched(folder: Path, begin: float, what: str) -> None:
    """Compares what was just fetched with its checksum: the client compares sizes alone.

    A large file lies in the cache under its sha256. One that differs is removed, so that the next run fetches it.
    """
    for link in [*folder.glob("*.safetensors"), *folder.glob(PICKLE)]:
        stored = link.resolve()
        if not SHA256.match(stored.name) or stored.stat().st_mtime < begin:
            continue
        with stored.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != stored.name:
            link.unlink()
            stored.unlink()
            raise AugmentError(
                f"{what}: {link.name} as downloaded: expected sha256 {stored.name}, found {found}; it was not kept, "
                "run the command again"
            )
