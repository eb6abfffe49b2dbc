"""Caches that lie in a folder and are another run's: refused before anything is measured, made or written there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from distill.cache_folder import KEY_FILE, holds_other_files, key_difference
from pipelines.errors import UserError
from pipelines.teacher_cache.room import OFF

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from distill.shards import ShardStream
    from distill.teacher import Teacher
    from pipelines.methods.method import MethodStage
    from pipelines.options.teacher_cache import CacheChoice

KEY_OPTIONS = {
    "teacher": "--teacher",
    "layers": "--layer-map",
    "precision": "--precision",
    "max_length": "--max-length",
}


def refuse_foreign_caches(
    choice: CacheChoice, teacher: Teacher, stream: ShardStream, contents: set[str], root: Path
) -> None:
    """Refuses folders that hold another run's cache or other files; writes nothing.

    Args:
        choice: what the user asked for; a rebuild drops another run's cache.
        teacher: the teacher.
        stream: the training rows.
        contents: of the caches that will be used.
        root: folder of the caches.

    Raises:
        UserError: naming what is different.
    """
    from distill.targets import cache_key

    wanted = sorted(contents - {OFF})
    if not any((root / content).exists() for content in wanted):
        return
    _refuse_other_files(wanted, root)
    for content in wanted:
        folder = root / content
        difference = None if choice.rebuild else key_difference(folder, cache_key(teacher, stream, content))
        if difference is not None:
            raise _another_runs(folder, difference)


def _another_runs(folder: Path, difference: str) -> UserError:
    option = KEY_OPTIONS.get(difference.split()[0])
    return UserError(
        f"{folder}: expected the cache of this run, found one with {difference}{f' ({option})' if option else ''}; "
        "choose another --cache-dir, or make it anew with --rebuild-cache"
    )


def refuse_early(choice: CacheChoice, stages: tuple[MethodStage, ...], known: dict[str, str | int]) -> None:
    """Refuses a --cache-dir with other files or another run's cache, before there are rows or a teacher.

    Args:
        choice: what the user asked for; which of several caches `auto` will choose is not known yet.
        stages: of the method, those that are trained.
        known: those fields of the cache's key that are known already.

    Raises:
        UserError: naming the folder.
    """
    if choice.folder is None or (choice.mode == "auto" and any(stage.recipe.max_steps is not None for stage in stages)):
        return  # it may end too early for a cache
    of_layers = [str(stage.kept) for stage in stages if stage.of_layers and choice.mode != "logits"]
    contents = [*of_layers, *(["logits"] if choice.mode != "full" or not of_layers else [])]
    _refuse_other_files(contents, choice.folder)
    for folder in (choice.folder / content for content in contents if not choice.rebuild):
        for name, value in known.items():
            stored = _stored_key(folder).get(name, value)
            if stored not in (value, 0):  # a cache that keeps no scores or hidden states has no heads or width
                raise _another_runs(folder, f"{name} {stored!r}, now {value!r}")


def _stored_key(folder: Path) -> Any:
    """The key of the cache in a folder; empty without one, or where it cannot be read."""
    try:
        content = json.loads((folder / KEY_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _refuse_other_files(contents: Iterable[str], root: Path) -> None:
    for folder in (root / content for content in contents):
        if holds_other_files(folder):
            raise UserError(
                f"{folder}: expected an empty folder or a teacher cache, found other files; choose another --cache-dir"
            )
