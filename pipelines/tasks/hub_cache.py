"""What `datasets` has stored of GLUE on this machine, found without importing it."""

from __future__ import annotations

import os
import re
from pathlib import Path

COMMIT = re.compile(r"[0-9a-f]{40}\Z")
VERSION = "0.0.0"  # `datasets` gives it to repositories without a script


def cached_commits(repository: str, config: str) -> list[Path]:
    """Folders of a configuration that were stored whole, latest first; each is named by its commit.

    Args:
        repository: `owner/name`.
        config: name of the configuration.
    """
    owner, name = repository.split("/")
    found = (datasets_cache() / f"{owner}___{name}" / config / VERSION).glob("*")
    whole = [folder for folder in found if folder.is_dir() and COMMIT.match(folder.name)]
    return sorted(whole, key=lambda folder: folder.stat().st_mtime, reverse=True)


def cached_commit(repository: str, config: str, revision: str | None) -> str | None:
    """The stored commit that a revision names.

    Args:
        repository: `owner/name`.
        config: name of the configuration.
        revision: branch, tag or commit; None for main, or, where its commit is not known, for the latest stored.

    Returns:
        The commit; None if it is not stored.
    """
    stored = [folder.name for folder in cached_commits(repository, config)]
    named = _named_commit(repository, revision or "main")
    if named in stored:
        return named
    return stored[0] if stored and revision is None else None


def commit_of(data: object) -> str | None:
    """The commit that a loaded part came from, by the folder its files lie in.

    Args:
        data: a `datasets.Dataset`.
    """
    files = getattr(data, "cache_files", None) or [{"filename": ""}]
    name = Path(files[0]["filename"]).parent.name
    return name if COMMIT.match(name) else None


def _named_commit(repository: str, revision: str) -> str:
    """What the hub's client remembers of a branch or tag; a commit names itself."""
    from huggingface_hub import constants

    remembered = Path(constants.HF_HUB_CACHE) / f"datasets--{repository.replace('/', '--')}" / "refs" / revision
    try:
        return remembered.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return revision


def datasets_cache() -> Path:
    """Folder that `datasets` stores in: HF_DATASETS_CACHE, else `datasets` beside the models of the hub."""
    from huggingface_hub import constants

    given = os.environ.get("HF_DATASETS_CACHE")
    return Path(given).expanduser() if given else Path(constants.HF_HOME).expanduser() / "datasets"
