"""The folder of the teacher caches: what lies there, what may still be put there, and whose it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distill.cache_folder import KEY_FILE, holds_other_files, key_difference
from distill.cache_format import CacheContent, CacheKey, default_budget
from pipelines.errors import UserError
from pipelines.run_folder.stage_folder import refuse_unwritable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from distill.shards import ShardStream
    from distill.teacher import Teacher
    from pipelines.methods.method import MethodStage
    from pipelines.options.teacher_cache import CacheChoice

OFF = "off"
CONTENTS = ("full", "hidden", "scores", "cls", "logits")  # a folder each
KEY_OPTIONS = {
    "teacher": "--teacher",
    "layers": "--layer-map",
    "precision": "--precision",
    "max_length": "--max-length",
}


@dataclass(frozen=True)
class CacheRoom:
    """What a cache of one key finds in the folder.

    Args:
        budget: bytes that all caches there may take.
        taken: bytes of other records: of another content, of shards that this data does not have.
        there: bytes that need no new disk: its own records, and what a rebuild drops.
        filled: every row is there; checked when it is opened.
    """

    budget: int
    taken: int
    there: int
    filled: bool


def cache_room(choice: CacheChoice, root: Path, key: CacheKey, stream: ShardStream) -> CacheRoom:
    """Looks at what lies in the folder of the caches.

    Args:
        choice: what the user asked for.
        root: the folder; may not exist yet.
        key: of the cache that is thought of.
        stream: its data.
    """
    sizes = {content: _record_sizes(root / content) for content in CONTENTS}
    everything = sum(sum(found.values()) for found in sizes.values())
    budget = choice.budget if choice.budget is not None else default_budget(root, everything)
    folder, mine = root / key.content, sizes[key.content]
    if choice.rebuild:
        there = sum(mine.values())
        return CacheRoom(budget, everything - there, there, False)
    if not mine or key_difference(folder, key) is not None:
        return CacheRoom(budget, everything, 0, False)
    names = {digest[:16] for digest in shard_hashes(stream)}
    there = sum(size for name, size in mine.items() if name.split(".")[0] in names)
    filled = all((folder / f"{name}.json").is_file() for name in names)
    return CacheRoom(budget, everything - there, there, filled)


def room_of_layers(
    choice: CacheChoice, root: Path, teacher: Teacher, stream: ShardStream, kept: CacheContent
) -> tuple[CacheKey, CacheRoom]:
    """The cache that serves what is wanted of the layers: one of all states where that is filled already.

    Args:
        choice: what the user asked for.
        root: folder of the caches; may not exist yet.
        teacher: the teacher.
        stream: the training rows.
        kept: what is wanted of the layers.

    Returns:
        Its key and what it finds in the folder.
    """
    from distill.targets import cache_key

    key = cache_key(teacher, stream, kept)
    room = cache_room(choice, root, key, stream)
    if (kept.hidden or kept.scores) and kept is not CacheContent.FULL and not room.filled:
        whole = cache_key(teacher, stream, CacheContent.FULL)
        other = cache_room(choice, root, whole, stream)
        if other.filled:
            return whole, other
    return key, room


def bytes_of(folder: Path) -> int:
    """Bytes of the files in a folder; 0 without one."""
    return sum(path.stat().st_size for path in folder.glob("*"))


def check_cache_place(choice: CacheChoice) -> None:
    """Refuses a --cache-dir that cannot be written to, before a teacher is loaded.

    Raises:
        UserError: naming it.
    """
    if choice.folder is not None:
        refuse_unwritable(choice.folder, "--cache-dir")


def shard_hashes(stream: ShardStream) -> list[str]:
    """The digest of every shard."""
    return [stream.files.sha256(shard) for shard in range(len(stream.files.paths))]


def _record_sizes(folder: Path) -> dict[str, int]:
    """Bytes of the files with a cache's records, by name."""
    paths = [*folder.glob("*.bin"), *folder.glob("*.idx")] if folder.is_dir() else []
    return {path.name: path.stat().st_size for path in paths}


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
    if option == "--layer-map" and folder.name == CacheContent.CLS:
        option = "--pkd-layers"
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
