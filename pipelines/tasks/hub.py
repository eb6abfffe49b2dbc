"""GLUE from the Hugging Face hub: its Parquet files, downloaded into the cache of the hub's client, or found there."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augment.files.hub import explain
from glove.deadline import ask_in_time
from pipelines.errors import UserError
from pipelines.tasks.glue_files import glue_split
from pipelines.tasks.readers.parquet_reader import parquet_source
from pipelines.tasks.split import OpenTask, Split
from pipelines.tasks.task import listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.tasks.task import BadRow, Task

REPOSITORY = "nyu-mll/glue"
PROBE_SECONDS = 3.5  # for the hub's first answer, name look-up included
_REMEDY = "Pass --data FOLDER with the task's files (docs/tasks.md)"
_SHARDS = re.compile(r".*-of-(\d+)\.parquet")


def open_hub(task: Task, revision: str | None, on_bad: Callable[[BadRow], None]) -> OpenTask:
    """A GLUE task from the hub, or from the local cache when HF_HUB_OFFLINE is set or the hub is out of reach.

    The task's revision is the commit that was read.

    Raises:
        UserError: If the hub cannot be reached or does not have it.
    """
    folder = _folder(task, revision)
    parts = {part: partial(_open_part, task, part, paths, on_bad) for part, paths in _parts(task, folder).items()}
    return OpenTask(task, parts, lambda part: f"a part {part!r}", f"{REPOSITORY}/{task.name}", folder.name)


def stored_folders(task: Task) -> list[Path]:
    """Where the hub's client has stored all of a task on this machine, latest first; each is named by its commit."""
    from huggingface_hub import constants

    stored = Path(constants.HF_HUB_CACHE).expanduser() / f"datasets--{REPOSITORY.replace('/', '--')}" / "snapshots"
    found = [folder for folder in stored.glob("*") if _is_whole(task, folder)]
    return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)


def _open_part(task: Task, part: str, paths: list[Path], on_bad: Callable[[BadRow], None]) -> Split:
    names = [f"{REPOSITORY}/{task.name}/{path.name}" for path in paths]
    sources = tuple(parquet_source(path, name, place=name) for path, name in zip(paths, names, strict=True))
    return glue_split(task, part, sources, on_bad)


def _parts(task: Task, folder: Path) -> dict[str, list[Path]]:
    """The files of each part, where all of them are there."""
    found = {part: sorted(folder.glob(f"{task.name}/{part}-*.parquet")) for part in task.splits}
    return {
        part: paths
        for part, paths in found.items()
        if paths and (match := _SHARDS.fullmatch(paths[0].name)) and len(paths) == int(match[1])
    }


def _is_whole(task: Task, folder: Path) -> bool:
    return _parts(task, folder).keys() == task.splits.keys()


def _folder(task: Task, revision: str | None) -> Path:
    """The folder of the commit that a revision names: downloaded, or as it was stored earlier."""
    trouble, commit = None, revision
    try:
        commit = dataset_commit(REPOSITORY, revision)
    except Exception as error:  # the client raises many kinds; what was stored earlier must do
        trouble = error
    stored = _stored(task, commit) or (stored_folders(task) if trouble is not None and revision is None else [])
    if stored:
        return stored[0]
    try:
        if trouble is not None:
            raise trouble
        folder = _snapshot(task, revision, offline=False)
    except Exception as error:  # HTTP, a connection that broke off, a full disk
        asked = f"{REPOSITORY} ({task.name}{f', revision {revision}' if revision else ''})"
        have = ", ".join(folder.name[:12] for folder in stored_folders(task)) or "nothing of it"
        raise UserError(
            f"expected {asked} from the hub or its cache, found: {explain(error, asked=error is trouble)}; the local "
            f"cache has {have}. {_REMEDY}, or give the command a network once."
        ) from error
    if not _is_whole(task, folder):
        found = listed(_parts(task, folder))
        raise UserError(f"{folder}: expected the parts {listed(task.splits)}, found {found}. {_REMEDY}.")
    return folder


def dataset_commit(repository: str, revision: str | None) -> str | None:
    """The commit that the hub has under a revision of a data set.

    Raises:
        Exception: Whatever the client raised; TimeoutError without an answer in time.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    if os.environ.get("HF_DATASETS_OFFLINE", "").upper() in constants.ENV_VARS_TRUE_VALUES:
        raise OfflineModeIsEnabled("offline mode is enabled")
    ask = partial(HfApi().dataset_info, repository, revision=revision, timeout=PROBE_SECONDS)
    commit: str | None = ask_in_time(ask, PROBE_SECONDS).sha
    return commit


def _snapshot(task: Task, revision: str | None, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    files: Any = {"repo_id": REPOSITORY, "repo_type": "dataset", "allow_patterns": f"{task.name}/*"}
    return Path(snapshot_download(**files, revision=revision, local_files_only=offline))


def _stored(task: Task, revision: str | None) -> list[Path]:
    """Where a branch, tag or commit, or the main branch, is stored whole, if it is."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = _snapshot(task, revision, offline=True)
    except LocalEntryNotFoundError:
        return []
    return [folder] if _is_whole(task, folder) else []
