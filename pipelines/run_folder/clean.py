"""What of a run's folder can be made again and so may be deleted; results, checkpoints and stored candidates stay."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from pipelines.errors import JobError, UserError
from pipelines.run_folder.lock import only_writer, refuse_if_held
from pipelines.run_folder.run_file import RUN
from pipelines.run_folder.stage_folder import BASELINES, FINETUNED, TOKENS, UNAUGMENTED
from pipelines.run_folder.storage import PARTIAL, Storage

if TYPE_CHECKING:
    from pathlib import Path

MODELS = ("general", "teacher", "student", *(f"{BASELINES}/{name}" for name in (UNAUGMENTED, FINETUNED)))
STAGES = ("", *MODELS)  # folders of a run with a run.json, if they are there
CACHE = "teacher_cache"


class Removable(NamedTuple):
    """A folder that may be deleted.

    Attributes:
        path: the folder.
        bytes: of the files in it.
    """

    path: Path
    bytes: int


def removable(storage: Storage) -> list[Removable]:
    """Teacher caches, tokenised rows and half-written files of a run or training; none in an object store.

    Args:
        storage: its folder.
    """
    found = []
    for stage in _stages(storage):
        made_ahead = (stage.read_json(RUN) or {}).get("kind") == "cache-teacher"  # whose result the cache is
        names = (TOKENS, PARTIAL) if made_ahead else (CACHE, TOKENS, PARTIAL)
        for path in (stage.local_folder() / name for name in names):
            if path.is_dir() and not path.is_symlink():
                files = [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
                found.append(Removable(path, sum(file.stat().st_size for file in files)))
    return found


def clean(storage: Storage, dry_run: bool) -> list[Removable]:
    """Deletes what can be made again.

    Args:
        storage: the folder of a run or training.
        dry_run: only look.

    Returns:
        What was deleted, or would be.

    Raises:
        UserError: a folder that is no run's, or that a job works in.
        JobError: something cannot be deleted.
    """
    if not storage.is_local or "tinyaug" not in (storage.read_json(RUN) or {}):
        raise UserError(
            f"{storage.display()}: expected a local folder of `tinyaug run` or of another verb that writes run.json, "
            "found none; nothing was deleted"
        )
    stages = _stages(storage)
    for stage in stages:
        refuse_if_held(stage, or_else="")
    found = removable(storage)
    if not dry_run:
        with ExitStack() as locks:
            for stage in stages:
                locks.enter_context(only_writer(stage, or_else=""))
            for folder in found:
                try:
                    shutil.rmtree(folder.path)
                except FileNotFoundError:  # half-written files, which the lock's holder clears
                    continue
                except OSError as error:
                    raise JobError(f"{folder.path}: cannot be deleted: {error.strerror}") from error
    return found


def _stages(storage: Storage) -> list[Storage]:
    """The folder itself and those of its stages, as far as they are ours."""
    if not storage.is_local:
        return []
    every = (Storage(f"{storage.root}/{name}".rstrip("/")) for name in STAGES)
    return [stage for stage in every if "tinyaug" in (stage.read_json(RUN) or {})]
